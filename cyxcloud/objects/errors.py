"""What can go wrong in the store, in its own words. Edges (S3, later REST) map these to their codes, a table each."""

from __future__ import annotations


class ObjectsError(Exception):
    """Base of everything that a caller of objects/ is expected to handle."""


class NoSuchBucket(ObjectsError):
    pass


class BucketExists(ObjectsError):
    """The name belongs to another account."""


class BucketOwned(ObjectsError):
    """The name belongs to the caller already."""


class BucketNotEmpty(ObjectsError):
    pass


class VersioningHeld(ObjectsError):
    """A bucket with object lock keeps its versions for ever."""


class NoSuchKey(ObjectsError):
    pass


class NoSuchUpload(ObjectsError):
    pass


class StillCompleting(ObjectsError):
    """Another process has been completing this upload for longer than is worth waiting: try again."""


class InvalidPart(ObjectsError):
    pass


class InvalidPartOrder(ObjectsError):
    pass


class InvalidPartNumber(ObjectsError):
    """Asked for a part that the object does not have."""


class PartTooSmall(ObjectsError):
    """A part other than the last is below 5 MiB."""

    def __init__(self, number: int, size: int, etag: str) -> None:
        super().__init__(f"part {number} has {size} bytes")
        self.number, self.size, self.etag = number, size, etag


class ObjectTooLarge(ObjectsError):
    pass


class PreconditionFailed(ObjectsError):
    def __init__(self, condition: str) -> None:
        super().__init__(condition)
        self.condition = condition


class NotModified(ObjectsError):
    """A conditional read whose object the caller has already; carries the validators that the answer repeats."""

    def __init__(self, etag: str, modified_ms: int) -> None:
        super().__init__(etag)
        self.etag, self.modified_ms = etag, modified_ms


class ChecksumMismatch(ObjectsError):
    """The checksum given for a whole multipart object is not the one of its parts."""

    def __init__(self, text: str) -> None:
        super().__init__(text)


class ObjectLocked(ObjectsError):
    """A version under retention or legal hold: it may not go, nor its lock be weakened."""


class InvalidRetentionDate(ObjectsError):
    """A retention has to end in the future."""


class VersioningOff(ObjectsError):
    """Object lock needs a bucket that keeps its versions."""


class QuotaExceeded(ObjectsError):
    """`whose` limit of `unit` (bytes, objects) would be passed; `used`, `limit` and `added` are counts of these."""

    def __init__(self, whose: str, unit: str, used: int, limit: int, added: int) -> None:
        super().__init__(f"{whose}: {used} of {limit} {unit} used, {added} more asked for")
        self.whose, self.unit, self.used, self.limit, self.added = whose, unit, used, limit, added


class InvalidRequest(ObjectsError):
    """The combination asked for makes no sense; the text says which."""


class KmsKeyNotFound(ObjectsError):
    """There is no such named key; the text says so in S3's words."""


class KmsKeyDisabled(ObjectsError):
    """The named key may not be used now."""
