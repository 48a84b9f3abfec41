"""A bucket's website: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html"""

from __future__ import annotations

from cyxcloud.objects import bucket_config
from cyxcloud.objects.website import WEBSITE
from s3gw.configuration import website
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error


async def get_bucket_website(ctx: RequestContext) -> Response:
    found = ctx.config.get(WEBSITE)
    if found is None:
        raise S3Error(Code.NO_SUCH_WEBSITE_CONFIGURATION, bucket_name=ctx.bucket.name)
    return xml_response(website.render(found))


async def put_bucket_website(ctx: RequestContext) -> Response:
    if (ctx.body.length or 0) > website.MAX_BYTES:
        raise S3Error(Code.MAX_MESSAGE_LENGTH_EXCEEDED, max_message_length_bytes=website.MAX_BYTES)
    site = website.parse(await ctx.body.read_document(website.MAX_BYTES))
    await bucket_config.put(ctx.store, ctx.bucket, WEBSITE, site)
    return Response(200, {})


async def delete_bucket_website(ctx: RequestContext) -> Response:
    await bucket_config.remove(ctx.store, ctx.bucket, WEBSITE)
    return Response(204, {})
