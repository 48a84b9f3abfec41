"""A bucket's default encryption: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-encryption.html"""

from __future__ import annotations

from cyxcloud.objects import bucket_config
from cyxcloud.objects.encryption import BUCKET_ENCRYPTION
from s3gw.configuration import encryption as document
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error


async def get_bucket_encryption(ctx: RequestContext) -> Response:
    configured = ctx.config.get(BUCKET_ENCRYPTION)
    if configured is None:
        raise S3Error(Code.SERVER_SIDE_ENCRYPTION_CONFIGURATION_NOT_FOUND, bucket_name=ctx.bucket.name)
    return xml_response(document.render(configured))


async def put_bucket_encryption(ctx: RequestContext) -> Response:
    wanted = document.parse(await ctx.body.read_document(document.MAX_BYTES))
    await bucket_config.put(ctx.store, ctx.bucket, BUCKET_ENCRYPTION, wanted)
    return Response(200, {})


async def delete_bucket_encryption(ctx: RequestContext) -> Response:
    await bucket_config.remove(ctx.store, ctx.bucket, BUCKET_ENCRYPTION)
    return Response(204, {})
