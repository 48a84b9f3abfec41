"""What the operations on something that an object or a bucket carries have in common."""

from __future__ import annotations

from cyxcloud.core.ids import VersionId
from cyxcloud.objects.get import ObjectView
from s3gw.context import RequestContext
from s3gw.errors import Code, S3Error


def named_id(ctx: RequestContext, view: ObjectView) -> VersionId | None:
    """For a change: the version where the request names one, None for what is current when it is made."""
    return view.version.id if "versionId" in ctx.query else None


async def checked_document(ctx: RequestContext, limit: int) -> bytes:
    """A document that S3 takes only with a digest: what was changed on its way would lock or label the wrong thing."""
    if not ctx.body.checked:
        raise S3Error(Code.INVALID_REQUEST, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    return await ctx.body.read_document(limit)
