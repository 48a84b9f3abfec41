"""Public access blocks: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html"""

from __future__ import annotations

from cyxcloud.objects import bucket_config
from cyxcloud.objects.access_block import PUBLIC_ACCESS_BLOCK
from s3gw.configuration import public_access
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error


async def get_public_access_block(ctx: RequestContext) -> Response:
    block = ctx.config.get(PUBLIC_ACCESS_BLOCK)
    if block is None:
        raise S3Error(Code.NO_SUCH_PUBLIC_ACCESS_BLOCK, bucket_name=ctx.bucket.name)
    return xml_response(public_access.render(block))


async def put_public_access_block(ctx: RequestContext) -> Response:
    block = public_access.parse(await ctx.body.read_document(public_access.MAX_BYTES))
    await bucket_config.put(ctx.store, ctx.bucket, PUBLIC_ACCESS_BLOCK, block)
    return Response(200, {})


async def delete_public_access_block(ctx: RequestContext) -> Response:
    await bucket_config.remove(ctx.store, ctx.bucket, PUBLIC_ACCESS_BLOCK)
    return Response(204, {})
