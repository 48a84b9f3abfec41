"""Buckets: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html"""

from __future__ import annotations

from dataclasses import replace

from cyxcloud.core.ids import AccountId
from cyxcloud.meta.rows import BucketFlags, Versioning
from cyxcloud.objects import buckets
from cyxcloud.objects.buckets import Setup
from cyxcloud.objects.errors import BucketOwned
from cyxcloud.objects.tags import BUCKET_TAGS, bucket_tags
from s3gw import locks, xml, xml_reader
from s3gw.bucket_names import check_new_bucket_name
from s3gw.context import RequestContext, Response, xml_response
from s3gw.documents import BucketLine, CreateBucketDocument, Owner
from s3gw.errors import Code, S3Error, not_implemented
from s3gw.handlers.ownership import of_new_bucket
from s3gw.parameters import bucket_page_size, decode_token, encode_token

# The region that S3 writes as an empty LocationConstraint.
CLASSIC_REGION = "us-east-1"
# What tools say that were set up for stores without regions; the bucket's location is then that, its region ours.
DEFAULT_LOCATION = "default"
# Names of an account's own are not there: a name is one for the whole store.
NAMESPACE = "x-amz-bucket-namespace"


def owner_of(ctx: RequestContext) -> Owner:
    return Owner(ctx.principal.canonical_id, ctx.principal.display_name)


def account_of(ctx: RequestContext) -> AccountId:
    assert ctx.principal.account is not None, "the authoriser lets nobody else in"
    return ctx.principal.account


async def list_buckets(ctx: RequestContext) -> Response:
    prefix = ctx.query.get("prefix", "")
    if ctx.principal.account is None:
        return xml_response(xml.list_buckets(owner_of(ctx), [], prefix=prefix, continuation_token=""))
    account = ctx.principal.account
    token = ctx.query.get("continuation-token", "")
    region = ctx.query.get("bucket-region")
    limit = bucket_page_size(ctx.query)
    after = decode_token(token).decode() if token else ""
    rows, more = buckets.page(ctx.store, account, prefix=prefix, after=after, limit=limit)
    lines = [BucketLine(row.name, row.created_at_ms, ctx.region) for row in rows if region in (None, ctx.region)]
    next_token = encode_token(rows[-1].name.encode()) if more else ""
    return xml_response(xml.list_buckets(owner_of(ctx), lines, prefix=prefix, continuation_token=next_token))


async def create_bucket(ctx: RequestContext) -> Response:
    assert ctx.bucket_name is not None
    check_new_bucket_name(ctx.bucket_name)
    if ctx.headers.get(NAMESPACE, "global").lower() != "global":
        raise not_implemented(Code.NOT_IMPLEMENTED.message, header=NAMESPACE)
    document = await ctx.body.read_document(xml_reader.MAX_CREATE_BUCKET_BYTES)
    wanted = xml_reader.parse_create_bucket(document)
    location = wanted.location
    if location not in (None, "", ctx.region, DEFAULT_LOCATION):
        raise S3Error(
            Code.INVALID_LOCATION_CONSTRAINT,
            location_constraint=location,
        )
    try:
        await buckets.create(ctx.store, ctx.bucket_name, account_of(ctx), location or ctx.region, _setup(ctx, wanted))
    except BucketOwned:
        # As us-east-1 has always done: making one's own bucket again changes nothing. Elsewhere it is a conflict, and
        # so is one that was to lock what it gets and does not.
        if ctx.region != CLASSIC_REGION or (locks.wants_locking(ctx) and not _locks_already(ctx)):
            raise
    return Response(200, {"Location": f"/{ctx.bucket_name}"})


def _setup(ctx: RequestContext, wanted: CreateBucketDocument) -> Setup:
    configured, labels = of_new_bucket(ctx), bucket_tags(wanted.tags)
    if labels.tags:
        configured |= {BUCKET_TAGS.name: BUCKET_TAGS.encode(labels)}
    setup = Setup(tuple(configured.items()))
    if locks.wants_locking(ctx):
        setup = replace(setup, versioning=Versioning.ENABLED, flags=BucketFlags.OBJECT_LOCK)
    return setup


def _locks_already(ctx: RequestContext) -> bool:
    there = buckets.find(ctx.store, ctx.bucket_name or "")
    return there is not None and locks.locks(there)


async def head_bucket(ctx: RequestContext) -> Response:
    return Response(200, {"x-amz-bucket-region": ctx.region, "Content-Type": "application/xml"})


async def delete_bucket(ctx: RequestContext) -> Response:
    await buckets.delete(ctx.store, ctx.bucket)
    return Response(204, {})


async def get_bucket_location(ctx: RequestContext) -> Response:
    region = ctx.bucket.region
    return xml_response(xml.location_constraint("" if region == CLASSIC_REGION else region))
