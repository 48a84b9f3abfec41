"""Copies: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html and API_UploadPartCopy.html"""

from __future__ import annotations

from dataclasses import replace

from cyxcloud.core.checksums import Algorithm
from cyxcloud.meta.reads import ObjectRead
from cyxcloud.meta.rows import Versioning
from cyxcloud.objects import buckets, copy, get, multipart
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.conditions import check_copy_source
from cyxcloud.objects.errors import NoSuchKey
from cyxcloud.objects.get import ObjectView
from cyxcloud.objects.multipart import PartTarget
from cyxcloud.objects.put import Target
from cyxcloud.objects.quota import PartOf, check_early
from cyxcloud.objects.rights import Permission
from s3gw import encryption, locks, tagging, xml
from s3gw import request as req
from s3gw.acl_headers import new_object, with_acl
from s3gw.authority import demand_owner, demand_reading
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error
from s3gw.handlers.archive import demand_readable
from s3gw.handlers.lifecycle import expiration_header
from s3gw.handlers.objects import new_attributes, stored_headers
from s3gw.opened import VERSION_HEADER, source_version_headers
from s3gw.parameters import part_number
from s3gw.request import CopySource
from s3gw.upload_ids import parse_upload_id
from s3gw.version_ids import version_ref

MAX_COPY_BYTES = 5 << 30
SOURCE = "x-amz-copy-source"


def _source(ctx: RequestContext) -> ObjectView:
    """The source, which the caller must be allowed to read, and whose conditions hold."""
    named = req.parse_copy_source(ctx.headers)
    bucket = buckets.find(ctx.store, named.bucket)
    if bucket is None:
        raise S3Error(Code.NO_SUCH_BUCKET, bucket_name=named.bucket)
    version = version_ref(named.version_id)
    permission = Permission.GET_OBJECT if version is None else Permission.GET_OBJECT_VERSION
    found = get.find(ctx.store, named.bucket, named.key, with_body=True, named=version)
    demand_reading(ctx, permission, bucket, named.key, found.version)
    expected = ctx.headers.get("x-amz-source-expected-bucket-owner")
    if expected is not None:
        demand_owner(ctx, bucket, expected)
    view = encryption.unlocked_source(ctx, _opened_source(found, named))
    check_copy_source(req.copy_source_conditions(ctx.headers), view.version.etag, view.version.mtime_ms)
    demand_readable(ctx, view)
    return view


def _opened_source(found: ObjectRead, named: CopySource) -> ObjectView:
    if named.version_id is not None and found.version is None:
        raise S3Error(Code.NO_SUCH_VERSION, key=named.key, version_id=named.version_id)
    if named.version_id is not None and found.version is not None and found.version.is_delete_marker:
        raise S3Error(
            Code.INVALID_REQUEST,
            "The source of a copy request may not specifically refer to a delete marker by version id.",
        )
    try:
        return get.view_of(found)
    except NoSuchKey:
        raise S3Error(Code.NO_SUCH_KEY, key=named.key) from None


async def copy_object(ctx: RequestContext) -> Response:
    source = _source(ctx)
    version = source.version
    if version.size > MAX_COPY_BYTES:
        raise S3Error(
            Code.INVALID_REQUEST,
            f"The specified copy source is larger than the maximum allowable size for a copy source: {MAX_COPY_BYTES}",
        )
    replaces = req.replaces_metadata(ctx.headers)
    changes = "x-amz-storage-class" in ctx.headers or req.REDIRECT_LOCATION in ctx.headers
    changes = changes or encryption.is_asked(ctx.headers)
    onto_itself = (version.bucket, version.key) == (ctx.bucket.id, ctx.key)
    # A version that is named becomes the current one: that is how an older one is put back.
    puts_back = ctx.bucket.versioning is not Versioning.OFF and "?versionId=" in ctx.headers[SOURCE]
    if onto_itself and not puts_back and not replaces and not changes:
        raise S3Error(
            Code.INVALID_REQUEST,
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )
    attributes = new_attributes(ctx) if replaces else _kept(source)
    attributes = replace(attributes, tags=tagging.of_copy(ctx, source), lock=locks.requested(ctx))
    attributes = replace(attributes, redirect=req.redirect_location(ctx.headers))
    owned = new_object(ctx, ctx.headers)
    target = Target(
        ctx.bucket.id,
        ctx.key,
        owned.owner,
        req.write_conditions(ctx.headers),
        req.storage_class(ctx.headers),
        ctx.cause("ObjectCreated:Copy"),
        await encryption.sealing_of_new(ctx),
    )
    stored = await copy.copy_object(ctx.store, source, target, with_acl(attributes, owned), named_algorithm(ctx))
    headers = {name: value for name, value in stored_headers(stored).items() if name in _ANSWERED}
    headers |= encryption.answer(ctx.headers, target.sealing.encryption, context=True)
    headers |= source_version_headers(source.bucket, version)
    headers |= expiration_header(ctx, stored.size, stored.mtime_ms, attributes.tags)
    return xml_response(xml.copy_object(stored.etag, stored.mtime_ms, stored.checksum), headers=headers)


_ANSWERED = frozenset({"x-cyx-cid", VERSION_HEADER})


def _kept(source: ObjectView) -> Attributes:
    return Attributes(source.attributes.headers, source.attributes.metadata)


def named_algorithm(ctx: RequestContext) -> Algorithm | None:
    name = ctx.headers.get("x-amz-checksum-algorithm")
    if name is None:
        return None
    try:
        return Algorithm(name.upper())
    except ValueError:
        raise S3Error(
            Code.INVALID_REQUEST,
            "Checksum algorithm provided is unsupported. Please try again with any of the valid "
            "types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        ) from None


async def upload_part_copy(ctx: RequestContext) -> Response:
    number = part_number(ctx.query)
    assert number is not None, "the operation's row demands it"
    upload = multipart.find(ctx.store, ctx.bucket.id, ctx.key, parse_upload_id(ctx.query["uploadId"]))
    source = _source(ctx)
    size = source.version.size
    wanted = req.copy_source_range(ctx.headers)
    span = (0, size) if wanted is None else wanted.whole_within(size)
    if span[1] - span[0] > MAX_COPY_BYTES:
        raise S3Error(Code.ENTITY_TOO_LARGE)
    check_early(ctx.store, ctx.bucket, ctx.key, span[1] - span[0], PartOf(upload.id, number))
    part = PartTarget(upload, number, await encryption.sealing_of_part(ctx, upload))
    etag, mtime_ms, checksum = await copy.copy_part(ctx.store, source, span, part)
    headers = encryption.answer(ctx.headers, part.sealing.encryption)
    headers |= source_version_headers(source.bucket, source.version)
    return xml_response(xml.copy_part(etag, mtime_ms, checksum), headers=headers)
