"""Where a bucket's access logs go: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html"""

from __future__ import annotations

from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects import bucket_config, buckets, delivery_rights, ownership
from cyxcloud.objects.access_log import LOGGING, SERVICE, Logging
from cyxcloud.objects.acl import Grant
from cyxcloud.objects.ownership import Ownership
from s3gw import acl_headers
from s3gw.configuration import logging as documents
from s3gw.configuration.acl import GrantLine
from s3gw.configuration.logging import LoggingDocument
from s3gw.context import RequestContext, Response, xml_response
from s3gw.documents import Owner
from s3gw.errors import Code, S3Error
from s3gw.people import person_named


async def get_bucket_logging(ctx: RequestContext) -> Response:
    def person_of(grant: Grant) -> Owner:
        return Owner(grant.grantee, "") if grant.is_group else person_named(ctx.store, grant.grantee)

    return xml_response(documents.render(ctx.config.get(LOGGING), person_of))


async def put_bucket_logging(ctx: RequestContext) -> Response:
    """Only the bucket's owner sets where its log goes, whatever a policy says."""
    document = documents.parse(await ctx.body.read_document(documents.MAX_BYTES))
    if ctx.principal.account != ctx.bucket.account:
        raise S3Error(Code.ACCESS_DENIED)
    if document is None:
        await bucket_config.remove(ctx.store, ctx.bucket, LOGGING)
    else:
        await bucket_config.put(ctx.store, ctx.bucket, LOGGING, _checked(ctx, document))
    return Response(200, {})


def _checked(ctx: RequestContext, document: LoggingDocument) -> Logging:
    target = buckets.find(ctx.store, document.target)
    if target is None:
        raise S3Error(Code.INVALID_TARGET_BUCKET_FOR_LOGGING, target_bucket=document.target)
    _check_right(ctx, target, document.prefix)
    if document.grants and ownership.rule_of(bucket_config.of(ctx.store, target)) is Ownership.BUCKET_OWNER_ENFORCED:
        raise S3Error(
            Code.INVALID_TARGET_BUCKET_FOR_LOGGING,
            "The target bucket for logging has bucket owner enforced and takes no target grants",
            target_bucket=document.target,
        )
    grants = tuple(_grant(ctx, line) for line in document.grants)
    return Logging(document.target, document.prefix, document.date_source, grants)


def _check_right(ctx: RequestContext, target: BucketRow, prefix: str) -> None:
    source = delivery_rights.source_of(ctx.store, ctx.bucket)
    if not delivery_rights.may_deliver(ctx.store, SERVICE, source, target, prefix):
        raise S3Error(Code.ACCESS_DENIED)


_ARGUMENTS = {"id": "CanonicalUser/ID", "uri": "Group/URI", "emailaddress": "AmazonCustomerByEmail/EmailAddress"}


def _grant(ctx: RequestContext, line: GrantLine) -> Grant:
    who = acl_headers.resolve_grantee(ctx.store, line.kind, line.value, _ARGUMENTS[line.kind])
    return Grant(who, line.permission)
