"""What a row of the operations table is, how one is written, and the headers that several rows understand (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from cyxcloud.objects.rights import Permission, ResourceKind

Target = ResourceKind


class BodyKind(Enum):
    """What a request carries: nothing, a small document read whole, or an object's bytes."""

    NONE = auto()
    XML = auto()
    JSON = auto()
    FORM = auto()
    STREAM = auto()


@dataclass(frozen=True, slots=True)
class Operation:
    """`query` are parameters that select the row, with the value they must have where that matters, else None."""

    name: str
    method: str
    target: Target
    query: tuple[tuple[str, str | None], ...]
    required_headers: tuple[str, ...]
    permission: Permission
    body: BodyKind
    handler: str | None
    optional_query: frozenset[str]
    headers: frozenset[str]
    aliases: tuple[str, ...]
    known_query: frozenset[str]
    mutating: bool

    @property
    def specificity(self) -> int:
        return len(self.query) + len(self.required_headers)


NO_BODY, XML, JSON, FORM, STREAM = BodyKind.NONE, BodyKind.XML, BodyKind.JSON, BodyKind.FORM, BodyKind.STREAM


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Understood, or harmless, on every operation. Checksums are named one by one: one that we cannot verify is refused.
COMMON_HEADERS = words(
    """x-amz-date x-amz-api-version x-amz-content-sha256 x-amz-security-token x-amz-user-agent x-amz-te x-amz-trailer
    x-amz-decoded-content-length x-amz-expected-bucket-owner x-amz-request-payer x-amz-cf-id
    x-amz-checksum-crc32 x-amz-checksum-crc32c x-amz-checksum-crc64nvme x-amz-checksum-sha1 x-amz-checksum-sha256
    x-amz-checksum-mode x-amz-checksum-algorithm x-amz-checksum-type"""
)
COMMON_HEADER_PREFIXES = ("x-amz-meta-", "x-amz-sdk-")

SSE_C = """x-amz-server-side-encryption-customer-algorithm x-amz-server-side-encryption-customer-key
    x-amz-server-side-encryption-customer-key-md5 """
# Of parts and completions: an upload has decided when it began.
AS_BEGUN = """x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id
    x-amz-server-side-encryption-context x-amz-server-side-encryption-bucket-key-enabled """
SOURCE_SSE_C = SSE_C.replace("x-amz-", "x-amz-copy-source-")
GRANTS = """x-amz-acl x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write
    x-amz-grant-write-acp """
NEW_OBJECT = (
    SSE_C
    + GRANTS
    + """x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-context
    x-amz-server-side-encryption-bucket-key-enabled x-amz-storage-class x-amz-website-redirect-location x-amz-tagging
    x-amz-object-lock-mode x-amz-object-lock-retain-until-date x-amz-object-lock-legal-hold """
)
COPY_SOURCE = (
    SOURCE_SSE_C
    + """x-amz-copy-source x-amz-copy-source-if-match x-amz-copy-source-if-none-match
    x-amz-copy-source-if-modified-since x-amz-copy-source-if-unmodified-since x-amz-source-expected-bucket-owner """
)
LISTING = "delimiter encoding-type prefix "
READ_OBJECT = """versionId partNumber response-cache-control response-content-disposition response-content-encoding
    response-content-language response-content-type response-expires"""


def row(
    name: str,
    request: str,
    permission: Permission,
    body: BodyKind = NO_BODY,
    *,
    handler: str | None = None,
    source: tuple[str, ...] = (),
    optional: str = "",
    headers: str = "",
    aliases: tuple[str, ...] = (),
) -> Operation:
    """`request` is written as the model writes it, e.g. `PUT /b/k?partNumber&uploadId`: /b a bucket, /b/k a key."""
    method, _, uri = request.partition(" ")
    path, _, raw_query = uri.partition("?")
    target = {"/": Target.SERVICE, "/b": Target.BUCKET, "/b/k": Target.OBJECT}[path]
    query = tuple(_selector(item) for item in raw_query.split("&")) if raw_query else ()
    optional_query = words(optional)
    known = optional_query | {selector for selector, _ in query}
    mutating = method not in ("GET", "HEAD")
    understood = words(headers) | COMMON_HEADERS | frozenset(source)
    return Operation(
        name,
        method,
        target,
        query,
        source,
        permission,
        body,
        handler,
        optional_query,
        understood,
        aliases,
        known,
        mutating,
    )


def _selector(text: str) -> tuple[str, str | None]:
    name, _, value = text.partition("=")
    return name, value or None
