"""What the operations on something that an object or a bucket carries have in common."""

from __future__ import annotations

from cyxcloud.objects.amend import Change, amend
from cyxcloud.objects.errors import NoSuchKey
from cyxcloud.objects.get import ObjectView
from s3gw.context import RequestContext
from s3gw.errors import Code, S3Error
from s3gw.opened import version_headers
from s3gw.version_ids import VERSION_ID


async def amend_found(ctx: RequestContext, view: ObjectView, change: Change, event: str = "") -> dict[str, str]:
    """Changes the version that the pipeline found; headers that say which it is. One that is gone since was changed
    before it went, unless it is the one that the request names."""
    try:
        await amend(ctx.store, view.version, change, cause=ctx.cause(event) if event else None)
    except NoSuchKey:
        if VERSION_ID in ctx.query:
            raise
    return version_headers(ctx, view.version)


async def checked_document(ctx: RequestContext, limit: int) -> bytes:
    """A document that S3 takes only with a digest: what was changed on its way would lock or label the wrong thing."""
    if not ctx.body.checked:
        raise S3Error(Code.INVALID_REQUEST, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    return await ctx.body.read_document(limit)
