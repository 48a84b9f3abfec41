"""What a request's body can be refused for; each fault's value is S3's own error code (pure)."""

from __future__ import annotations

from enum import Enum


class BodyFault(Enum):
    """All are 400 but MISSING_CONTENT_LENGTH (411) and NOT_IMPLEMENTED (501)."""

    BAD_DIGEST = "BadDigest"
    CONTENT_SHA256_MISMATCH = "XAmzContentSHA256Mismatch"
    INCOMPLETE_BODY = "IncompleteBody"
    INVALID_ARGUMENT = "InvalidArgument"
    INVALID_CHUNK_SIZE = "InvalidChunkSizeError"
    INVALID_DIGEST = "InvalidDigest"
    INVALID_REQUEST = "InvalidRequest"
    MALFORMED_TRAILER = "MalformedTrailerError"
    MISSING_CONTENT_LENGTH = "MissingContentLength"
    NOT_IMPLEMENTED = "NotImplemented"


class BodyError(Exception):
    """A refused body: the S3 code, S3's text, and the further XML elements S3 gives with it."""

    def __init__(self, fault: BodyFault, message: str, **fields: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message
        self.fields = fields
