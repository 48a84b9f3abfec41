"""What a signature can be refused for; each fault's value is S3's own error code (pure)."""

from __future__ import annotations

from enum import Enum


class SignatureFault(Enum):
    """Statuses are the error table's business; all of these are 400 or 403, NOT_IMPLEMENTED is 501."""

    ACCESS_DENIED = "AccessDenied"
    AUTHORIZATION_HEADER_MALFORMED = "AuthorizationHeaderMalformed"
    AUTHORIZATION_QUERY_PARAMETERS = "AuthorizationQueryParametersError"
    INVALID_ACCESS_KEY_ID = "InvalidAccessKeyId"
    INVALID_ARGUMENT = "InvalidArgument"
    INVALID_REQUEST = "InvalidRequest"
    NOT_IMPLEMENTED = "NotImplemented"
    REQUEST_TIME_TOO_SKEWED = "RequestTimeTooSkewed"
    SIGNATURE_DOES_NOT_MATCH = "SignatureDoesNotMatch"


class SignatureError(Exception):
    """A refused signature: the S3 code, S3's text, and the further XML elements S3 gives with it."""

    def __init__(self, fault: SignatureFault, message: str, **fields: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message
        self.fields = fields
