"""May the one who asks do this: the operation itself, and whatever else its request turns out to need.

The pipeline asks `authorise` once for each request; a handler asks for every further right (the source of a copy, each
key of a deletion, the tags of a new object). All end in `objects.authorize`, which alone decides. The owner of a bucket
without a policy is through after one look at what is kept of its configurations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from cyxcloud.meta.rows import BucketRow, VersionRow
from cyxcloud.objects import acl, bucket_config, get, multipart
from cyxcloud.objects import attributes as attributes_codec
from cyxcloud.objects.actions import action_of, resource_kind_of
from cyxcloud.objects.authorize import ALLOWED_OWNER, Basis, Decision, Resource, authorize
from cyxcloud.objects.bucket_rules import rules_of
from cyxcloud.objects.errors import NoSuchUpload
from cyxcloud.objects.rights import Permission, ResourceKind, of_a_version
from s3gw.context import RequestContext
from s3gw.errors import Code, S3Error
from s3gw.facts import RequestFacts
from s3gw.upload_ids import parse_upload_id
from s3gw.version_ids import VERSION_ID, named_version

_EXPECTED_OWNER = "x-amz-expected-bucket-owner"
# What these ask for stands in their body. Where the bucket's policy has a condition on it, only their handlers can
# tell: they demand the right with what they have read.
_IN_BODY = {
    "PutObjectTagging": "s3:requestobjecttag",
    "PutObjectRetention": "s3:object-lock-",
    "PutObjectLegalHold": "s3:object-lock-",
}
# Whoever began an upload may see it and end it.
_OF_AN_UPLOAD = frozenset({Permission.ABORT_MULTIPART_UPLOAD, Permission.LIST_MULTIPART_UPLOAD_PARTS})
_INITIATOR = Decision(True, Basis.OWNER, "the caller began the upload")


def authorise(ctx: RequestContext) -> None:
    """The request's own right. Raises NoSuchBucket, AccessDenied."""
    operation, row = ctx.operation, ctx.row
    makes_bucket = operation.name == "CreateBucket"
    if ctx.bucket_name is not None and row is None and not makes_bucket:
        raise S3Error(Code.NO_SUCH_BUCKET, bucket_name=ctx.bucket_name)
    if row is None or makes_bucket:
        if not authorize(ctx.principal, operation.permission, None).allowed:
            raise S3Error(Code.ACCESS_DENIED)
        return
    expected = ctx.headers.get(_EXPECTED_OWNER)
    if expected is not None:
        demand_owner(ctx, row, expected)
    if operation.name == "DeleteObjects" or (operation.name in _IN_BODY and _is_left_to_handler(ctx, row)):
        return
    if ctx.config.is_empty and _is_owners(ctx, row):
        return
    permission = of_a_version(operation.permission) if VERSION_ID in ctx.query else operation.permission
    if ctx.found is not None:
        demand_reading(ctx, permission, row, ctx.key, ctx.found.version)
    else:
        demand(ctx, permission)


def _is_owners(ctx: RequestContext, row: BucketRow) -> bool:
    """Whether the owner of a bucket without any rules asks for what is his: as `decide`, but without its questions."""
    if not ctx.principal.owns(row.account):
        return False
    if ctx.found is not None:
        return ctx.found.version is not None and ctx.found.version.account == row.account
    need = acl.need_of(ctx.operation.permission)
    return need is None or need.on is not ResourceKind.OBJECT


def _is_left_to_handler(ctx: RequestContext, row: BucketRow) -> bool:
    prefix = _IN_BODY[ctx.operation.name]
    if ctx.found is None or ctx.found.version is None:
        return False
    policy = rules_of(ctx.config, row).policy
    return policy is not None and any(key.startswith(prefix) for key in policy.keys)


def demand_owner(ctx: RequestContext, bucket: BucketRow, expected: str) -> None:
    """Of a bucket that the request says belongs to `expected`. Raises AccessDenied where it does not."""
    owner = ctx.store.accounts.find(bucket.account)
    if owner is None or owner.canonical_id != expected:
        raise S3Error(Code.ACCESS_DENIED)


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
    if not decide(ctx, permission, bucket=bucket, key=key, version=version, extra=extra).allowed:
        raise S3Error(Code.ACCESS_DENIED)


def demand_of_new(ctx: RequestContext, permission: Permission, extra: Mapping[str, str]) -> None:
    """A right on the object that is being written. Who writes it by an ACL owns it, and lists know no such rights: he
    has it unless it is denied. Raises AccessDenied."""
    decision = decide(ctx, permission, extra=extra)
    if decision.allowed:
        return
    if decision.is_explicit_deny or decide(ctx, Permission.PUT_OBJECT, extra=extra).basis is not Basis.ACL:
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
    return decide(ctx, permission, bucket=bucket, key=key, version=version, extra=extra).allowed


def demand_reading(
    ctx: RequestContext, permission: Permission, bucket: BucketRow, key: bytes, version: VersionRow | None
) -> None:
    """The right to a key whose version (None where there is none) has been looked up. Raises AccessDenied; also where
    nothing is there and the one who asks may not list such keys, since any other answer would tell him so."""
    if version is not None and not version.is_delete_marker:
        demand(ctx, permission, bucket=bucket, key=key, version=version)
        return
    decision = decide(ctx, permission, bucket=bucket, key=key, version=version)
    prefix = {"s3:prefix": key.decode()}
    if decision.is_explicit_deny or not is_allowed(ctx, Permission.LIST_BUCKET, bucket=bucket, extra=prefix):
        raise S3Error(Code.ACCESS_DENIED)


def decide(
    ctx: RequestContext,
    permission: Permission,
    *,
    bucket: BucketRow | None = None,
    key: bytes | None = None,
    version: VersionRow | None = None,
    extra: Mapping[str, str] | None = None,
) -> Decision:
    row = ctx.row if bucket is None else bucket
    if row is None:
        return authorize(ctx.principal, permission, None)
    rules = rules_of(ctx.config if row is ctx.row else bucket_config.of(ctx.store, row), row)
    need = acl.need_of(permission)
    on_object = need is not None and need.on is ResourceKind.OBJECT
    is_bucket_owners = not on_object or (version is not None and version.account == row.account)
    # The same short way as `authorize`'s, before what it would be asked is put together.
    if is_bucket_owners and not rules.binds_owner and ctx.principal.owns(row.account):
        return ALLOWED_OWNER
    is_request = ctx.row is not None and row.id == ctx.row.id
    if key is None and is_request:
        key = ctx.key_bytes
    existing = _finder(ctx, row, key, version)
    resource = _resource(row, permission, key, existing() if on_object else None)
    facts = RequestFacts(ctx, row, existing, extra, is_request=is_request)
    decision = authorize(ctx.principal, permission, resource, rules, facts)
    if not decision.allowed and permission in _OF_AN_UPLOAD and not decision.is_explicit_deny and _began(ctx):
        return _INITIATOR
    return decision


def _resource(row: BucketRow, permission: Permission, key: bytes | None, version: VersionRow | None) -> Resource:
    if resource_kind_of(action_of(permission)) is not ResourceKind.OBJECT:
        key = None
    if version is None:
        return Resource(row.name, row.account, key)
    return Resource(row.name, row.account, key, version.account, attributes_codec.decode(version.attributes).acl)


def _finder(
    ctx: RequestContext, row: BucketRow, key: bytes | None, version: VersionRow | None
) -> Callable[[], VersionRow | None]:
    """The version that is acted on, looked up at most once, when somebody asks for it."""

    @cache
    def find() -> VersionRow | None:
        found = version
        is_request = ctx.row is not None and row.id == ctx.row.id and key == ctx.key_bytes
        if found is None and key is not None:
            if is_request and ctx.found is not None:
                found = ctx.found.version
            else:
                named = named_version(ctx.query) if is_request else None
                found = get.find(ctx.store, row.name, key, with_body=False, named=named).version
        return None if found is None or found.is_delete_marker else found

    return find


def _began(ctx: RequestContext) -> bool:
    if ctx.principal.account is None or ctx.key_bytes is None:
        return False
    try:
        upload = multipart.find(ctx.store, ctx.bucket.id, ctx.key, parse_upload_id(ctx.query["uploadId"]))
    except (NoSuchUpload, S3Error):
        return False
    return multipart.initiator(upload) == ctx.principal.account and not ctx.principal.user
