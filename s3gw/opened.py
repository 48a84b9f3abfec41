"""The version that a request is about, or S3's refusal: no such key or version, or a delete marker in its place.

A marker that hides an object reads as if nothing was there (404); one that is named by its id is there, and takes no
method but DELETE (405). Both say what they are in headers, by which clients tell a deleted object from none at all.
"""

from __future__ import annotations

from cyxcloud.meta.rows import BucketRow, Versioning, VersionRow
from cyxcloud.objects import get
from cyxcloud.objects.get import ObjectView
from s3gw.context import RequestContext
from s3gw.errors import Code, S3Error
from s3gw.times import http_date
from s3gw.version_ids import VERSION_ID, version_text

VERSION_HEADER = "x-amz-version-id"
MARKER_HEADER = "x-amz-delete-marker"


def opened(ctx: RequestContext) -> ObjectView:
    """Of an operation whose version the pipeline has looked up. Raises NoSuchKey, NoSuchVersion, MethodNotAllowed."""
    assert ctx.found is not None, "the pipeline reads the version with its bucket"
    version = ctx.found.version
    if version is None:
        raise _missing(ctx)
    if version.is_delete_marker:
        raise _hidden(ctx, version)
    return get.view_of(ctx.found)


def version_headers(ctx: RequestContext, version: VersionRow) -> dict[str, str]:
    """What an answer about a version says of it; nothing in a bucket that never had versions."""
    if ctx.bucket.versioning is Versioning.OFF and VERSION_ID not in ctx.query:
        return {}
    return {VERSION_HEADER: text_of_version(version)}


def source_version_headers(bucket: BucketRow, version: VersionRow) -> dict[str, str]:
    """The same of a copy's source."""
    if bucket.versioning is Versioning.OFF:
        return {}
    return {"x-amz-copy-source-version-id": text_of_version(version)}


def text_of_version(version: VersionRow) -> str:
    return version_text(None if version.is_null else version.id)


def _missing(ctx: RequestContext) -> S3Error:
    named = ctx.query.get(VERSION_ID)
    if named is not None:
        return S3Error(Code.NO_SUCH_VERSION, key=ctx.key, version_id=named)
    return S3Error(Code.NO_SUCH_KEY, key=ctx.key).with_headers({MARKER_HEADER: "false"})


def _hidden(ctx: RequestContext, marker: VersionRow) -> S3Error:
    headers = {MARKER_HEADER: "true", VERSION_HEADER: text_of_version(marker)}
    if VERSION_ID not in ctx.query:
        return S3Error(Code.NO_SUCH_KEY, key=ctx.key).with_headers(headers)
    headers |= {"Allow": "DELETE", "Last-Modified": http_date(marker.mtime_ms)}
    refused = S3Error(Code.METHOD_NOT_ALLOWED, method=ctx.operation.method, resource_type="DeleteMarker")
    return refused.with_headers(headers)
