"""What may go wrong with metadata; callers map these, nothing here knows an S3 code."""

from __future__ import annotations


class MetaError(Exception):
    """Base of this package's operating errors."""


class StorageFull(MetaError):
    """The metadata disk takes no more; nothing of this request was written."""


class SessionClosed(MetaError):
    """The write session that made this request's ids has been closed; its shards may be swept, so it must not
    commit."""


class SchemaMismatch(MetaError):
    """The database is of another release than this program."""


class BlobGone(MetaError):
    """A blob that was to be shared has just lost its last reference; what pointed at it no longer exists."""


class WriterClosed(MetaError):
    """The writer is stopping and takes no more requests."""


class MetadataDamaged(MetaError):
    """The database fails its own integrity check."""


class BucketGone(MetaError):
    """The bucket was deleted between the request's reads and its commit."""


class LeaseLost(MetaError):
    """Somebody else holds this lease by now, so nothing of this transaction may count."""
