"""Objects: put, get, head, attributes.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html and its neighbours.
"""

from __future__ import annotations

from cyxcloud.objects import get, put
from cyxcloud.objects.attributes import Attributes, Checksum
from cyxcloud.objects.conditions import check_read
from cyxcloud.objects.get import ObjectView
from cyxcloud.objects.put import STANDARD, Stored, Target
from cyxcloud.objects.quota import check_early
from cyxcloud.shards import cid
from s3gw import encryption, locks, tagging, xml
from s3gw import request as req
from s3gw.acl_headers import new_object, with_acl
from s3gw.context import RequestContext, Response, xml_response
from s3gw.documents import AttributesPage
from s3gw.errors import Code, S3Error
from s3gw.handlers import archive
from s3gw.handlers.lifecycle import expiration_header
from s3gw.opened import VERSION_HEADER, opened, version_headers
from s3gw.parameters import page_size, part_number, part_number_marker, response_overrides
from s3gw.times import http_date
from s3gw.version_ids import version_text

CHECKSUM_MODE = "x-amz-checksum-mode"
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
# A header of more than this is had from its own address, since clients refuse big ones.
MAX_LAYOUT_HEADER_BYTES = 1024


async def put_object(ctx: RequestContext) -> Response:
    if ctx.body.length is None and ctx.headers.get("transfer-encoding", "").lower() != "chunked":
        raise S3Error(Code.MISSING_CONTENT_LENGTH)
    owned = new_object(ctx, ctx.headers)
    target = Target(
        ctx.bucket.id,
        ctx.key,
        owned.owner,
        req.write_conditions(ctx.headers),
        req.storage_class(ctx.headers),
        ctx.cause("ObjectCreated:Put" if ctx.form is None else "ObjectCreated:Post"),
        await encryption.sealing_of_new(ctx),
    )
    attributes = with_acl(new_attributes(ctx), owned)
    locks.demand_digest(ctx, attributes.lock, "Put Object")
    check_early(ctx.store, ctx.bucket, ctx.key, ctx.body.length or 0)
    stored = await put.put_object(ctx.store, target, ctx.body, attributes)
    headers = stored_headers(stored) | encryption.answer(ctx.headers, target.sealing.encryption, context=True)
    if not ctx.config.is_empty:
        headers |= expiration_header(ctx, stored.size, stored.mtime_ms, attributes.tags)
    return Response(200, headers)


def new_attributes(ctx: RequestContext) -> Attributes:
    return Attributes(
        req.content_headers(ctx.headers),
        req.user_metadata(ctx.headers),
        tags=tagging.requested(ctx),
        lock=locks.requested(ctx),
        redirect=req.redirect_location(ctx.headers),
    )


def stored_headers(stored: Stored) -> dict[str, str]:
    headers = {"ETag": f'"{stored.etag}"'}
    checksum = stored.checksum
    if checksum is not None:
        headers[f"x-amz-checksum-{checksum.algorithm.lower()}"] = checksum.value
        headers["x-amz-checksum-type"] = checksum.type
    headers["x-cyx-cid"] = cid.cid_text(stored.content_cid)
    if stored.version is not None:
        headers[VERSION_HEADER] = version_text(stored.version)
    return headers


async def get_object(ctx: RequestContext) -> Response:
    view = _open(ctx)
    archive.demand_readable(ctx, view)
    status, start, end, headers = _span(ctx, view)
    headers |= _shown(ctx, view)
    length = end - start
    if view.sealed is not None:
        return Response(status, headers, get.read_small(ctx.store, view, start, end))
    if not length:
        return Response(status, headers)
    return Response(status, headers, get.read_range(ctx.store, view, start, end), length)


async def head_object(ctx: RequestContext) -> Response:
    view = _open(ctx)
    status, start, end, headers = _span(ctx, view)
    headers |= _shown(ctx, view)
    return Response(status, headers, length=end - start)


def _open(ctx: RequestContext) -> ObjectView:
    view = encryption.unlocked(ctx, opened(ctx))
    check_read(req.read_conditions(ctx.headers), view.version.etag, view.version.mtime_ms)
    return view


def _span(ctx: RequestContext, view: ObjectView) -> tuple[int, int, int, dict[str, str]]:
    """(status, first byte, byte after the last, headers that say so) of what the request asks for."""
    size = view.version.size
    part = part_number(ctx.query)
    range_text = ctx.headers.get("range")
    if part is not None:
        if range_text is not None:
            raise S3Error(Code.INVALID_REQUEST, "Cannot specify both Range header and partNumber query parameter")
        start, end, count = view.part(part)
        headers = {"x-amz-mp-parts-count": str(count)} if count else {}
        if end == start:
            return 206, start, end, headers
        return 206, start, end, headers | {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
    wanted = req.parse_range(range_text)
    if wanted is None:
        return 200, 0, size, {}
    start, end = wanted.within(size)
    return 206, start, end, {"Content-Range": f"bytes {start}-{end - 1}/{size}"}


def _shown(ctx: RequestContext, view: ObjectView) -> dict[str, str]:
    version, attributes = view.version, view.attributes
    headers = {
        "Content-Type": DEFAULT_CONTENT_TYPE,
        "ETag": f'"{version.etag}"',
        "Last-Modified": http_date(version.mtime_ms),
        "Accept-Ranges": "bytes",
    } | encryption.answer(ctx.headers, attributes.encryption)
    for name, value in attributes.headers.items():
        headers[_HTTP_NAMES[name]] = value
    for name, value in attributes.metadata.items():
        headers[f"x-amz-meta-{name}"] = value
    if attributes.redirect:
        headers[req.REDIRECT_LOCATION] = attributes.redirect
    if version.storage_class != STANDARD:
        headers |= archive.class_headers(ctx, view)
    checksum = _checksum_of_read(ctx, view)
    if checksum is not None:
        headers[f"x-amz-checksum-{checksum.algorithm.lower()}"] = checksum.value
        headers["x-amz-checksum-type"] = checksum.type
    headers |= content_names(view)
    if attributes.tags:
        headers |= tagging.count_header(ctx, view, attributes)
    if attributes.lock is not None:
        headers |= locks.shown(ctx, view, attributes.lock)
    headers |= version_headers(ctx, version)
    if not ctx.config.is_empty and "versionId" not in ctx.query:
        headers |= expiration_header(ctx, version.size, version.mtime_ms, attributes.tags)
    if ctx.query:
        headers |= {_HTTP_NAMES[name]: value for name, value in response_overrides(ctx.query).items()}
    return headers


def _checksum_of_read(ctx: RequestContext, view: ObjectView) -> Checksum | None:
    """Of the object, or of the part that is read; a range has none."""
    whole = view.attributes.checksum
    if whole is None or ctx.headers.get(CHECKSUM_MODE, "").upper() != "ENABLED" or "range" in ctx.headers:
        return None
    number = part_number(ctx.query) if ctx.query else None
    if number is None or not view.attributes.parts:
        return whole
    own = next((part.checksum for part in view.attributes.parts if part.number == number), "")
    return Checksum(whole.algorithm, own, whole.type) if own else None


_HTTP_NAMES = {
    "content-type": "Content-Type",
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "expires": "Expires",
}


def content_names(view: ObjectView) -> dict[str, str]:
    """The content's CID, and its layout where it has more than one part."""
    version = view.version
    if version.content_cid is None:
        return {}
    names = {"x-cyx-cid": cid.cid_text(version.content_cid)}
    if version.segment_count > 1:
        layout = view.attributes.layout or cid.format_layout([part.size for part in view.attributes.parts])
        if len(layout) <= MAX_LAYOUT_HEADER_BYTES:
            names["x-cyx-layout"] = layout
    return names


async def get_object_attributes(ctx: RequestContext) -> Response:
    asked = req.wanted_attributes(ctx.headers)
    view = _open(ctx)
    version, attributes = view.version, view.attributes
    after = part_number_marker(ctx.headers.get("x-amz-part-number-marker"))
    limit = page_size(ctx.headers, "x-amz-max-parts")
    following = [part for part in attributes.parts if part.number > after]
    page = AttributesPage(
        etag=version.etag if "ETag" in asked else None,
        checksum=attributes.checksum if "Checksum" in asked or "ObjectParts" in asked else None,
        storage_class=version.storage_class if "StorageClass" in asked else None,
        size=version.size if "ObjectSize" in asked else None,
        parts_count=len(attributes.parts) if "ObjectParts" in asked and attributes.parts else None,
        parts=following[:limit],
        part_number_marker=after,
        max_parts=limit,
        truncated=len(following) > limit,
    )
    headers = {"Last-Modified": http_date(version.mtime_ms)} | content_names(view) | version_headers(ctx, version)
    return xml_response(xml.object_attributes(page), headers=headers)
