"""Deleting objects and versions: https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeletingObjectVersions.html"""

from __future__ import annotations

from cyxcloud.meta.reads import VersionRef
from cyxcloud.objects import delete
from cyxcloud.objects.conditions import NO_REMOVAL_CONDITIONS, RemovalConditions
from cyxcloud.objects.delete import Removal, Removed, Remover
from cyxcloud.objects.errors import ObjectsError
from cyxcloud.objects.rights import of_a_version
from s3gw import locks, xml, xml_reader
from s3gw import request as req
from s3gw.authority import is_allowed
from s3gw.context import RequestContext, Response, xml_response
from s3gw.documents import DeletedLine, DeleteEntry, FailedLine
from s3gw.errors import Code, S3Error
from s3gw.failures import as_s3_error
from s3gw.opened import MARKER_HEADER, VERSION_HEADER
from s3gw.version_ids import named_version, version_ref, version_text


async def delete_object(ctx: RequestContext) -> Response:
    named = named_version(ctx.query)
    removal = Removal(ctx.key, req.removal_conditions(ctx.headers), named, _bypasses(ctx, ctx.key, named))
    removed = await delete.delete_object(_remover(ctx), removal)
    headers = {MARKER_HEADER: "true"} if removed.is_marker else {}
    if removed.version is not None:
        headers[VERSION_HEADER] = version_text(removed.version.id)
    return Response(204, headers)


async def delete_objects(ctx: RequestContext) -> Response:
    """What becomes of each key is told in the answer; one that is refused does not stop the others."""
    if not ctx.body.checked:
        raise S3Error(Code.INVALID_REQUEST, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    document = xml_reader.parse_delete(await ctx.body.read_document(xml_reader.MAX_DELETE_BYTES))
    asked = [_removal(ctx, entry) for entry in document.entries]
    outcomes = iter(await delete.delete_objects(_remover(ctx), [each for each in asked if isinstance(each, Removal)]))
    deleted: list[DeletedLine] = []
    failed: list[FailedLine] = []
    for entry, each in zip(document.entries, asked, strict=True):
        outcome = next(outcomes) if isinstance(each, Removal) else each
        if isinstance(outcome, Removed):
            deleted.append(_deleted(entry, outcome))
        else:
            failed.append(_failed(entry, outcome))
    answer = xml_response(xml.delete_result([] if document.quiet else deleted, failed))
    return answer._replace(keys=tuple([entry.key for entry in document.entries]))


def _remover(ctx: RequestContext) -> Remover:
    """A marker that an unsigned request leaves belongs to the bucket's owner."""
    account = ctx.principal.account
    owner = ctx.bucket.account if account is None else account
    return Remover(ctx.store, ctx.bucket.id, owner, ctx.cause("ObjectRemoved:Delete"))


def _removal(ctx: RequestContext, entry: DeleteEntry) -> Removal | S3Error:
    permission = ctx.operation.permission
    try:
        named = version_ref(entry.version_id)
    except S3Error:
        return S3Error(Code.NO_SUCH_VERSION)
    if not is_allowed(ctx, permission if named is None else of_a_version(permission), key=entry.key):
        return S3Error(Code.ACCESS_DENIED)
    return Removal(entry.key, _conditions(entry), named, _bypasses(ctx, entry.key, named))


def _bypasses(ctx: RequestContext, key: bytes, named: VersionRef | None) -> bool:
    """Only a version that is named can be kept by its lock."""
    return named is not None and locks.bypasses(ctx, key=key)


def _conditions(entry: DeleteEntry) -> RemovalConditions:
    if entry.etag is None and entry.modified_ms is None and entry.size is None:
        return NO_REMOVAL_CONDITIONS
    return RemovalConditions(() if entry.etag is None else (entry.etag,), entry.modified_ms, entry.size)


def _deleted(entry: DeleteEntry, removed: Removed) -> DeletedLine:
    marker = version_text(removed.version.id) if removed.is_marker and removed.version is not None else None
    return DeletedLine(entry.key, entry.version_id, marker)


def _failed(entry: DeleteEntry, error: ObjectsError | S3Error) -> FailedLine:
    failure = as_s3_error(error, None) or S3Error(Code.INTERNAL_ERROR)
    return FailedLine(entry.key, entry.version_id, failure.code, failure.message)
