"""May the one who asks do this besides what the operation's row names: the source of a copy, each key of a deletion.

The pipeline authorises the operation itself; a handler asks here for every further right that its request turns out to
need. Both end in `objects.authorize`, which alone decides.
"""

from __future__ import annotations

from collections.abc import Mapping

from cyxcloud.meta.rows import BucketRow, VersionRow
from cyxcloud.objects.authorize import Decision, authorize
from cyxcloud.objects.rights import Permission
from s3gw.context import RequestContext
from s3gw.errors import Code, S3Error


def demand(
    ctx: RequestContext,
    permission: Permission,
    *,
    bucket: BucketRow | None = None,
    key: bytes | None = None,
    version: VersionRow | None = None,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Raises AccessDenied. Bucket and key are the request's own unless others are given; `version` is the one that is
    acted on where it is known; `extra` are further condition keys (`s3:ExistingObjectTag/..`)."""
    if not is_allowed(ctx, permission, bucket=bucket, key=key, version=version, extra=extra):
        raise S3Error(Code.ACCESS_DENIED)


def is_allowed(
    ctx: RequestContext,
    permission: Permission,
    *,
    bucket: BucketRow | None = None,
    key: bytes | None = None,
    version: VersionRow | None = None,
    extra: Mapping[str, str] | None = None,
) -> bool:
    """As `demand`, for one that goes on without the right."""
    return _decide(ctx, permission, bucket or ctx.row, key or ctx.key_bytes, version, extra).allowed


def _decide(
    ctx: RequestContext,
    permission: Permission,
    bucket: BucketRow | None,
    _key: bytes | None,
    _version: VersionRow | None,
    _extra: Mapping[str, str] | None,
) -> Decision:
    return authorize(ctx.principal, permission, None if bucket is None else bucket.account)
