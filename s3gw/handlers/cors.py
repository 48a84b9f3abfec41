"""A bucket's CORS rules: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketCors.html"""

from __future__ import annotations

from cyxcloud.objects import bucket_config
from cyxcloud.objects.cors import CORS
from s3gw.configuration import cors
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error
from s3gw.handlers.subresource import checked_document


async def get_bucket_cors(ctx: RequestContext) -> Response:
    found = ctx.config.get(CORS)
    if found is None:
        raise S3Error(Code.NO_SUCH_CORS_CONFIGURATION, bucket_name=ctx.bucket.name)
    return xml_response(cors.render(found))


async def put_bucket_cors(ctx: RequestContext) -> Response:
    rules = cors.parse(await checked_document(ctx, cors.MAX_BYTES))
    await bucket_config.put(ctx.store, ctx.bucket, CORS, rules)
    return Response(200, {})


async def delete_bucket_cors(ctx: RequestContext) -> Response:
    await bucket_config.remove(ctx.store, ctx.bucket, CORS)
    return Response(204, {})
