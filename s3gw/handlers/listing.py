"""Listings of objects, uploads and parts; each page is an index range of the database."""

from __future__ import annotations

from collections.abc import Sequence

from cyxcloud.core.ids import UploadId
from cyxcloud.meta.rows import ListedObject, UploadRow
from cyxcloud.objects import listing, multipart, ownership
from cyxcloud.objects.listing import Page
from cyxcloud.objects.ownership import Ownership
from s3gw import encryption, xml
from s3gw.context import RequestContext, Response, xml_response
from s3gw.documents import ObjectPage, Owner, PartLine, PartPage, UploadLine, UploadPage
from s3gw.handlers.lifecycle import abort_headers
from s3gw.parameters import decode_token, encode_token, page_size, part_number_marker, wants_url_encoding
from s3gw.people import owner_named
from s3gw.upload_ids import parse_upload_id, upload_text


def _page(ctx: RequestContext, after: bytes) -> Page:
    return listing.page(
        ctx.store,
        ctx.bucket.id,
        prefix=_bytes(ctx, "prefix"),
        delimiter=_bytes(ctx, "delimiter"),
        after=after,
        limit=page_size(ctx.query, "max-keys"),
    )


def _bytes(ctx: RequestContext, name: str) -> bytes:
    return ctx.query.get(name, "").encode()


def _object_page(ctx: RequestContext, found: Page, *, with_owner: bool) -> ObjectPage:
    return ObjectPage(
        bucket=ctx.bucket.name,
        prefix=ctx.query.get("prefix", ""),
        delimiter=ctx.query.get("delimiter", ""),
        max_keys=page_size(ctx.query, "max-keys"),
        truncated=found.truncated,
        lines=found.objects,
        common_prefixes=found.prefixes,
        url_encode=wants_url_encoding(ctx.query),
        owners=_owners(ctx, found.objects) if with_owner else (),
    )


def _owners(ctx: RequestContext, objects: Sequence[ListedObject]) -> list[Owner]:
    """Of each line; one for all where they are the same, as in nearly every bucket."""
    if ownership.rule_of(ctx.config) is Ownership.BUCKET_OWNER_ENFORCED:
        return [owner_named(ctx.store, ctx.bucket.account)]
    accounts = [each.account for each in objects]
    people = {account: owner_named(ctx.store, account) for account in set(accounts)}
    return list(people.values()) if len(people) < 2 else [people[account] for account in accounts]


async def list_objects(ctx: RequestContext) -> Response:
    marker = ctx.query.get("marker", "")
    found = _page(ctx, marker.encode())
    next_marker = found.last or b"" if found.truncated and ctx.query.get("delimiter") else b""
    page = _object_page(ctx, found, with_owner=True)
    return xml_response(xml.list_objects(page, marker=marker, next_marker=next_marker))


async def list_objects_v2(ctx: RequestContext) -> Response:
    token, start_after = ctx.query.get("continuation-token"), ctx.query.get("start-after", "")
    after = decode_token(token) if token else start_after.encode()
    found = _page(ctx, after)
    next_token = encode_token(found.last) if found.truncated and found.last is not None else ""
    page = _object_page(ctx, found, with_owner=ctx.query.get("fetch-owner") == "true")
    document = xml.list_objects_v2(page, continuation_token=token, next_token=next_token, start_after=start_after)
    return xml_response(document)


async def list_multipart_uploads(ctx: RequestContext) -> Response:
    query = ctx.query
    limit = page_size(query, "max-uploads")
    marker = query.get("upload-id-marker", "")
    found = listing.uploads_page(
        ctx.store,
        ctx.bucket.id,
        prefix=_bytes(ctx, "prefix"),
        delimiter=_bytes(ctx, "delimiter"),
        after_key=_bytes(ctx, "key-marker"),
        after_upload=parse_upload_id(marker) if marker else None,
        limit=limit,
    )
    page = UploadPage(
        bucket=ctx.bucket.name,
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        key_marker=query.get("key-marker", ""),
        upload_id_marker=marker,
        max_uploads=limit,
        truncated=found.truncated,
        lines=[_upload_line(ctx, row) for row in found.uploads],
        common_prefixes=found.prefixes,
        next_key_marker=found.next_key or b"",
        next_upload_id_marker=_upload_marker(found.next_upload),
        url_encode=wants_url_encoding(ctx.query),
    )
    return xml_response(xml.list_multipart_uploads(page))


def _upload_marker(upload: UploadId | None) -> str:
    return "" if upload is None else upload_text(upload)


def _upload_line(ctx: RequestContext, row: UploadRow) -> UploadLine:
    plan = multipart.checksum_plan(row)
    return UploadLine(
        row.key,
        upload_text(row.id),
        row.created_at_ms,
        multipart.storage_class(row),
        plan.algorithm,
        plan.type,
        owner_named(ctx.store, row.account),
        owner_named(ctx.store, multipart.initiator(row)),
    )


async def list_parts(ctx: RequestContext) -> Response:
    upload = multipart.find(ctx.store, ctx.bucket.id, ctx.key, parse_upload_id(ctx.query["uploadId"]))
    encryption.check_key_of_upload(ctx, upload)
    limit = page_size(ctx.query, "max-parts")
    after = part_number_marker(ctx.query.get("part-number-marker"))
    rows, more = listing.parts_page(ctx.store, upload.id, after=after, limit=limit)
    plan = multipart.checksum_plan(upload)
    page = PartPage(
        bucket=ctx.bucket.name,
        key=ctx.key,
        upload_id=ctx.query["uploadId"],
        owner=owner_named(ctx.store, upload.account),
        initiator=owner_named(ctx.store, multipart.initiator(upload)),
        storage_class=multipart.storage_class(upload),
        part_number_marker=after,
        max_parts=limit,
        truncated=more,
        lines=[PartLine(row.number, row.size, row.etag, row.mtime_ms, multipart.part_checksum(row)) for row in rows],
        checksum_algorithm=plan.algorithm,
        checksum_type=plan.type,
    )
    return xml_response(xml.list_parts(page), headers=abort_headers(ctx, upload.created_at_ms))
