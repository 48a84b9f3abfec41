"""Access control lists of buckets and objects.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectAcl.html and its neighbours.
"""

from __future__ import annotations

from dataclasses import replace

from cyxcloud.objects import acl, bucket_config, ownership
from cyxcloud.objects.acl import Grant, Grants
from cyxcloud.objects.ownership import BUCKET_ACL, BucketAcl, Owned, Ownership
from s3gw import acl_headers
from s3gw.configuration import acl as documents
from s3gw.context import RequestContext, Response, xml_response
from s3gw.documents import Owner
from s3gw.errors import Code, S3Error
from s3gw.handlers.subresource import amend_found
from s3gw.new_lists import refuse_public
from s3gw.opened import opened, version_headers
from s3gw.people import owner_named, person_named


async def get_bucket_acl(ctx: RequestContext) -> Response:
    return _shown(ctx, ownership.of_bucket(ctx.config, ctx.bucket))


async def put_bucket_acl(ctx: RequestContext) -> Response:
    grants = await _asked(ctx, owner_named(ctx.store, ctx.bucket.account).id)
    if grants is None:
        await bucket_config.remove(ctx.store, ctx.bucket, BUCKET_ACL)
    else:
        await bucket_config.put(ctx.store, ctx.bucket, BUCKET_ACL, BucketAcl(grants))
    return Response(200, {})


async def get_object_acl(ctx: RequestContext) -> Response:
    view = opened(ctx)
    stored = Owned(view.version.account, view.attributes.acl)
    return _shown(ctx, ownership.of_object(ctx.config, ctx.bucket, stored), version_headers(ctx, view.version))


async def put_object_acl(ctx: RequestContext) -> Response:
    view = opened(ctx)
    grants = await _asked(ctx, owner_named(ctx.store, view.version.account).id)
    headers = await amend_found(ctx, view, lambda attributes: replace(attributes, acl=grants), "ObjectAcl:Put")
    return Response(200, headers)


def _shown(ctx: RequestContext, owned: Owned, headers: dict[str, str] | None = None) -> Response:
    owner = owner_named(ctx.store, owned.owner)
    grants = acl.private(owner.id) if owned.grants is None else owned.grants
    lines = [(_grantee(ctx, owner, grant), grant.permission) for grant in grants]
    return xml_response(documents.render(owner, lines), headers=headers)


def _grantee(ctx: RequestContext, owner: Owner, grant: Grant) -> Owner:
    if grant.is_group:
        return Owner(grant.grantee, "")
    return owner if grant.grantee == owner.id else person_named(ctx.store, grant.grantee)


async def _asked(ctx: RequestContext, owner: str) -> Grants | None:
    """The list that this request sets, given in exactly one of three ways."""
    body = await ctx.body.read_document(documents.MAX_BYTES)
    by_header = not acl_headers.HEADERS.isdisjoint(ctx.headers)
    if by_header and body:
        raise S3Error(Code.UNEXPECTED_CONTENT)
    if not by_header and not body:
        raise S3Error(Code.MISSING_SECURITY_HEADER, missing_header_name=acl_headers.CANNED)
    if by_header:
        bucket_owner = owner_named(ctx.store, ctx.bucket.account).id
        grants = acl_headers.asked(ctx.store, ctx.headers, owner, bucket_owner)
    else:
        grants = _from_document(ctx, documents.parse(body), owner)
    if ownership.rule_of(ctx.config) is Ownership.BUCKET_OWNER_ENFORCED:
        raise S3Error(Code.ACCESS_CONTROL_LIST_NOT_SUPPORTED)
    refuse_public(ctx, grants)
    return grants


_ARGUMENTS = {"id": "CanonicalUser/ID", "uri": "Group/URI", "emailaddress": "AmazonCustomerByEmail/EmailAddress"}


def _from_document(ctx: RequestContext, document: documents.AclDocument, owner: str) -> Grants | None:
    if document.owner != owner:
        raise S3Error(Code.ACCESS_DENIED)
    grants = [
        Grant(acl_headers.resolve_grantee(ctx.store, line.kind, line.value, _ARGUMENTS[line.kind]), line.permission)
        for line in document.grants
    ]
    return acl.normal(grants, owner)
