"""A bucket's versioning: https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html"""

from __future__ import annotations

from cyxcloud.objects import versioning
from cyxcloud.objects.errors import VersioningHeld
from s3gw.configuration import versioning as document
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error


async def get_bucket_versioning(ctx: RequestContext) -> Response:
    return xml_response(document.render(ctx.bucket.versioning))


async def put_bucket_versioning(ctx: RequestContext) -> Response:
    wanted = document.parse(await ctx.body.read_document(document.MAX_BYTES))
    try:
        await versioning.configure(ctx.store, ctx.bucket, wanted)
    except VersioningHeld:
        raise S3Error(
            Code.INVALID_BUCKET_STATE,
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.",
        ) from None
    return Response(200, {})
