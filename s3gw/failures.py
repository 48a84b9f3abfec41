"""What goes wrong below the gateway, in S3's words: the second table of errors, from exceptions to codes."""

from __future__ import annotations

from collections.abc import Callable

from cyxcloud.meta import errors as meta
from cyxcloud.objects import errors as objects
from cyxcloud.objects.multipart import MIN_PART_BYTES
from cyxcloud.objects.tags import InvalidTag, MalformedTags, TooManyTags
from cyxcloud.shards.gather import ChunkUnavailable
from cyxcloud.shards.writer import NoNodesYet, QuorumLost
from s3gw.body_errors import BodyError
from s3gw.errors import Code, S3Error, code_named
from s3gw.resolve import Resolved
from s3gw.sigv4 import SignatureError
from s3gw.times import http_date

_SIMPLE: dict[type[Exception], Code] = {
    objects.NoSuchKey: Code.NO_SUCH_KEY,
    objects.NoSuchUpload: Code.NO_SUCH_UPLOAD,
    objects.VersioningHeld: Code.INVALID_BUCKET_STATE,
    objects.StillCompleting: Code.SERVICE_UNAVAILABLE,
    objects.BucketExists: Code.BUCKET_ALREADY_EXISTS,
    objects.BucketOwned: Code.BUCKET_ALREADY_OWNED_BY_YOU,
    objects.BucketNotEmpty: Code.BUCKET_NOT_EMPTY,
    objects.InvalidPart: Code.INVALID_PART,
    objects.InvalidPartOrder: Code.INVALID_PART_ORDER,
    # Amazon answers 416 InvalidPartNumber; ceph's suite, and with it most stores that speak S3, this.
    objects.InvalidPartNumber: Code.INVALID_PART,
    objects.ObjectTooLarge: Code.ENTITY_TOO_LARGE,
    meta.StorageFull: Code.STORAGE_FULL,
    meta.SessionClosed: Code.SERVICE_UNAVAILABLE,
    meta.WriterClosed: Code.SERVICE_UNAVAILABLE,
    ChunkUnavailable: Code.SERVICE_UNAVAILABLE,
    QuorumLost: Code.SLOW_DOWN,
}
# These are the store's own trouble: the operator's log gets the reason, the client only that it should try again.
LOGGED = (meta.StorageFull, meta.SessionClosed, meta.WriterClosed, ChunkUnavailable, QuorumLost)


def _named(error: SignatureError | BodyError) -> S3Error:
    return S3Error(code_named(error.fault.value), error.message, **error.fields)


_WITH_FIELDS: dict[type[Exception], Callable[..., S3Error]] = {
    SignatureError: _named,
    BodyError: _named,
    objects.PreconditionFailed: lambda error: S3Error(Code.PRECONDITION_FAILED, condition=error.condition),
    objects.PartTooSmall: lambda error: S3Error(
        Code.ENTITY_TOO_SMALL,
        proposed_size=error.size,
        min_size_allowed=MIN_PART_BYTES,
        part_number=error.number,
        e_tag=error.etag,
    ),
    objects.ChecksumMismatch: lambda error: S3Error(
        Code.BAD_DIGEST, f"The {error} you specified did not match the calculated checksum."
    ),
    objects.NotModified: lambda error: S3Error(
        Code.NOT_MODIFIED, e_tag=f'"{error.etag}"', last_modified=http_date(error.modified_ms)
    ),
    InvalidTag: lambda error: S3Error(Code.INVALID_TAG, str(error), tag_key=error.key),
    TooManyTags: lambda error: S3Error(Code.BAD_REQUEST, str(error)),
    MalformedTags: lambda _error: S3Error(
        Code.INVALID_ARGUMENT,
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
        "duplicates.",
        argument_name="x-amz-tagging",
    ),
    objects.ObjectLocked: lambda _error: S3Error(
        Code.ACCESS_DENIED, "Access Denied because object protected by object lock."
    ),
    objects.InvalidRetentionDate: lambda _error: S3Error(
        Code.INVALID_ARGUMENT, "The retain until date must be in the future!", argument_name="RetainUntilDate"
    ),
    objects.VersioningOff: lambda _error: S3Error(
        Code.INVALID_BUCKET_STATE,
        "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
    ),
    objects.QuotaExceeded: lambda error: S3Error(
        Code.QUOTA_EXCEEDED,
        f"The quota of {error.whose} is exceeded: {error.used} of {error.limit} {error.unit} are used and this needs "
        f"{error.added} more. Delete objects or old versions, which all count, or have the quota raised.",
        used=error.used,
        limit=error.limit,
        unit=error.unit,
    ),
    NoNodesYet: lambda _error: S3Error(
        Code.SLOW_DOWN, "This store waits for its storage nodes: too few have joined to hold a chunk. Try again later."
    ),
    objects.KmsKeyDisabled: lambda error: S3Error(Code.KMS_DISABLED, f"{error} is disabled."),
    objects.KmsKeyNotFound: lambda error: S3Error(Code.KMS_NOT_FOUND, str(error)),
    objects.InvalidRequest: lambda error: S3Error(Code.INVALID_REQUEST, str(error)),
}


def as_s3_error(error: Exception, resolved: Resolved | None) -> S3Error | None:
    """None for what nobody expected: that is an InternalError, logged once with its trace."""
    if isinstance(error, S3Error):
        return error
    kind = type(error)
    if kind in (objects.NoSuchBucket, meta.BucketGone):
        return S3Error(Code.NO_SUCH_BUCKET, bucket_name=(resolved.bucket if resolved else None) or "")
    code = _SIMPLE.get(kind)
    if code is Code.NO_SUCH_KEY and resolved is not None and resolved.key is not None:
        return S3Error(code, key=resolved.key)
    if code is not None:
        return S3Error(code)
    make = _WITH_FIELDS.get(kind)
    return None if make is None else make(error)
