"""Ownership controls of a bucket, and what a new bucket is given of lists and controls.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketOwnershipControls.html
"""

from __future__ import annotations

from cyxcloud.objects import bucket_config
from cyxcloud.objects.acl import Grants
from cyxcloud.objects.ownership import BUCKET_ACL, CONTROLS, BucketAcl, Ownership, OwnershipControls
from s3gw import acl_headers
from s3gw.configuration import ownership as documents
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error
from s3gw.people import owner_named

OWNERSHIP = "x-amz-object-ownership"


async def get_bucket_ownership_controls(ctx: RequestContext) -> Response:
    controls = ctx.config.get(CONTROLS)
    if controls is None:
        raise S3Error(Code.OWNERSHIP_CONTROLS_NOT_FOUND, bucket_name=ctx.bucket.name)
    return xml_response(documents.render(controls))


async def put_bucket_ownership_controls(ctx: RequestContext) -> Response:
    controls = documents.parse(await ctx.body.read_document(documents.MAX_BYTES))
    stored = ctx.config.get(BUCKET_ACL)
    owner = owner_named(ctx.store, ctx.bucket.account).id
    _refuse_list_without_effect(controls, None if stored is None else stored.grants, owner)
    await bucket_config.put(ctx.store, ctx.bucket, CONTROLS, controls)
    return Response(200, {})


async def delete_bucket_ownership_controls(ctx: RequestContext) -> Response:
    await bucket_config.remove(ctx.store, ctx.bucket, CONTROLS)
    return Response(204, {})


def of_new_bucket(ctx: RequestContext) -> dict[str, bytes]:
    """The configurations that CreateBucket's headers ask for, encoded, by name."""
    found: dict[str, bytes] = {}
    owner = ctx.principal.canonical_id
    grants: Grants | None = None
    if not acl_headers.HEADERS.isdisjoint(ctx.headers):
        grants = acl_headers.asked(ctx.store, ctx.headers, owner, owner)
        if grants is not None:
            found[BUCKET_ACL.name] = BUCKET_ACL.encode(BucketAcl(grants))
    named = ctx.headers.get(OWNERSHIP)
    if named is not None:
        rule = documents.RULES.get(named)
        if rule is None:
            raise S3Error(
                Code.INVALID_ARGUMENT,
                f"Invalid {OWNERSHIP} header: {named}",
                argument_name=OWNERSHIP,
                argument_value=named,
            )
        controls = OwnershipControls(rule)
        _refuse_list_without_effect(controls, grants, owner)
        found[CONTROLS.name] = CONTROLS.encode(controls)
    return found


def _refuse_list_without_effect(controls: OwnershipControls, grants: Grants | None, owner: str) -> None:
    """A list that lets others in must not be silenced: whoever set it would believe that it still counts."""
    if controls.rule is Ownership.BUCKET_OWNER_ENFORCED and any(grant.grantee != owner for grant in grants or ()):
        raise S3Error(Code.INVALID_BUCKET_ACL_WITH_OBJECT_OWNERSHIP)
