"""Bucket policies: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html and its neighbours."""

from __future__ import annotations

from cyxcloud.objects import acl, bucket_config
from cyxcloud.objects.bucket_rules import POLICY, BucketRules, StoredPolicy, rules_of
from cyxcloud.objects.policy import Policy
from cyxcloud.objects.policy_parse import MalformedPolicy, parse_bucket_policy
from cyxcloud.objects.policy_status import is_public
from s3gw.configuration import public_access
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error

# More than a policy may have: of one that is too long the writer is told so, not that his body was too big.
MAX_READ_BYTES = 64 << 10


async def get_bucket_policy(ctx: RequestContext) -> Response:
    _refuse_foreigners(ctx)
    stored = ctx.config.get(POLICY)
    if stored is None:
        raise S3Error(Code.NO_SUCH_BUCKET_POLICY, bucket_name=ctx.bucket.name)
    return Response(200, {"Content-Type": "application/json"}, stored.text.encode())


async def put_bucket_policy(ctx: RequestContext) -> Response:
    _refuse_foreigners(ctx)
    text = await ctx.body.read_document(MAX_READ_BYTES)
    try:
        policy = parse_bucket_policy(text, ctx.bucket.name)
    except MalformedPolicy as error:
        raise S3Error(Code.MALFORMED_POLICY, str(error)) from None
    _check_principals(ctx, policy)
    if _rules(ctx).block.block_public_policy and is_public(policy):
        raise S3Error(Code.ACCESS_DENIED)
    await bucket_config.put(ctx.store, ctx.bucket, POLICY, StoredPolicy(text.decode()))
    return Response(204, {})


async def delete_bucket_policy(ctx: RequestContext) -> Response:
    _refuse_foreigners(ctx)
    await bucket_config.remove(ctx.store, ctx.bucket, POLICY)
    return Response(204, {})


async def get_bucket_policy_status(ctx: RequestContext) -> Response:
    """Public by its policy or by its list, as far as the public access block lets that count."""
    rules = _rules(ctx)
    grants = None if rules.acls_disabled or rules.block.ignore_public_acls else rules.acl
    public = rules.policy_is_public or acl.is_public(grants)
    return xml_response(public_access.render_status(is_public=public))


def _rules(ctx: RequestContext) -> BucketRules:
    return rules_of(ctx.config, ctx.bucket)


def _refuse_foreigners(ctx: RequestContext) -> None:
    """Even where a policy gives the right away: what rules a bucket is its account's alone."""
    if ctx.principal.account != ctx.bucket.account:
        raise S3Error(Code.METHOD_NOT_ALLOWED, method=ctx.operation.method, resource_type="BUCKETPOLICY")


def _check_principals(ctx: RequestContext, policy: Policy) -> None:
    """Who is named by his bare id must be there: a slip of the pen would otherwise wait for somebody of that name."""
    named = {each for statement in policy.statements if statement.principals for each in statement.principals.plain}
    for canonical_id in named:
        if ctx.store.accounts.by_canonical_id(canonical_id) is None:
            raise S3Error(Code.MALFORMED_POLICY, "Invalid principal in policy")
