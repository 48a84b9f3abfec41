"""Which operation a request asks for, on which bucket and key (pure).

The row that demands most among those whose demands are met wins. Then everything that the row does not understand is
looked at. On a request that changes something, an unknown query parameter or x-amz header of S3's kind is
NotImplemented; a header of no kind that S3 has is somebody's own, and ignored as S3 ignores it. On a read an unknown
parameter with a value is ignored as S3 does, unless it is some operation's sub-resource. So no request can fall through
to an operation that ignores half of it (`DELETE /bucket?website` must not delete the bucket).

The key is decoded here, once, from the raw path, to bytes: `+`, `//`, `#`, `..` and NUL stand for themselves in a key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from s3gw.bucket_names import check_bucket_name
from s3gw.errors import Code, S3Error, not_implemented
from s3gw.operations import COMMON_HEADER_PREFIXES, HEADER_KINDS, OPERATIONS, Operation, Target, words
from s3gw.parameters import is_header

MAX_KEY_BYTES = 1024
# Host names come from strangers: what is remembered of them is bounded.
MAX_REMEMBERED_HOSTS = 1024

EMPTY: Mapping[str, str] = MappingProxyType({})

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_ABSOLUTE_FORM = re.compile(r"https?://[^/?]*", re.IGNORECASE).match
# Parameters that say who signs, or nothing: they belong to no operation.
_VERSION_ID = "versionId"
_UNRELATED = frozenset(("x-id", "AWSAccessKeyId", "Signature", "Expires"))
_SIGNING = words(
    """x-amz-algorithm x-amz-credential x-amz-date x-amz-expires x-amz-signedheaders x-amz-signature
    x-amz-security-token x-amz-content-sha256"""
)
# As every client spells them: the signature code reads them, and nobody else has to decode them.
_SIGNING_AS_SENT = frozenset(
    ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature")
)


class Resolved(NamedTuple):
    """`hoisted` are x-amz headers that a presigned URL carries as parameters; they count as headers of the request."""

    operation: Operation
    bucket: str | None
    key: bytes | None
    query: Mapping[str, str]
    hoisted: Mapping[str, str]


class Resolver:
    """`base_domains` are the names under which `bucket.name` addresses a bucket; any other host is path style."""

    def __init__(self, base_domains: Iterable[str] = (), operations: Iterable[Operation] = OPERATIONS) -> None:
        self._suffixes = tuple(f".{domain.lower().strip('.')}" for domain in base_domains)
        self._hosts: dict[str, str | None] = {}
        self._rows: dict[tuple[str, Target], tuple[Operation, ...]] = {}
        self._plain: dict[tuple[str, Target], Operation] = {}
        rows = sorted(operations, key=lambda row: (row.method, row.target.value, -row.specificity))
        for place, group in groupby(rows, key=lambda row: (row.method, row.target)):
            self._rows[place] = tuple(group)
            if self._rows[place][-1].specificity == 0:
                self._plain[place] = self._rows[place][-1]
        self._sub_resources = frozenset(row.query[0][0] for row in rows if row.query)
        self._routing_headers = frozenset(name for row in rows for name in row.required_headers)

    def resolve(self, method: str, raw_path: str, raw_query: str, host: str, header_names: Collection[str]) -> Resolved:
        """`header_names` in lower case, with a fast `in`. Raises S3Error for what is no request of any operation."""
        bucket, key = self.address(raw_path, host)
        target = Target.SERVICE if bucket is None else Target.BUCKET if key is None else Target.OBJECT
        query, hoisted = _split_hoisted(parse_query(raw_query)) if raw_query else (EMPTY, EMPTY)
        if hoisted:
            header_names = {*header_names, *hoisted}
        operation = self._operation(method, target, query, header_names)
        if operation.handler is not None:
            self._refuse_unknown(operation, query, header_names)
            if bucket is not None:
                check_bucket_name(bucket)
        return Resolved(operation, bucket, key, query, hoisted)

    def address(self, raw_path: str, host: str) -> tuple[str | None, bytes | None]:
        """The bucket and key that are named, whatever the operation. Raises S3Error."""
        if raw_path[:1] != "/":
            raise S3Error(Code.INVALID_URI, uri=raw_path)
        bucket = self.bucket_of_host(host) if self._suffixes else None
        if bucket is None:
            name, _, rest = raw_path[1:].partition("/")
            if not name and not rest:
                return None, None
            bucket = decode_path(name).decode() if "%" in name else name
        else:
            rest = raw_path[1:]
        if not rest:
            return bucket, None
        key = decode_path(rest)
        if len(key) > MAX_KEY_BYTES:
            raise S3Error(Code.KEY_TOO_LONG, size=len(key), max_size_allowed=MAX_KEY_BYTES)
        return bucket, key

    def bucket_of_host(self, host: str) -> str | None:
        try:
            return self._hosts[host]
        except KeyError:
            pass
        name = re.sub(r":\d*$", "", host).rstrip(".").lower()
        found = next((name.removesuffix(suffix) for suffix in self._suffixes if name.endswith(suffix)), None)
        if len(self._hosts) >= MAX_REMEMBERED_HOSTS:
            self._hosts.clear()
        self._hosts[host] = found
        return found

    def _operation(
        self, method: str, target: Target, query: Mapping[str, str], header_names: Collection[str]
    ) -> Operation:
        place = (method, target)
        if not query and self._routing_headers.isdisjoint(header_names):
            plain = self._plain.get(place)
            if plain is not None:
                return plain
        for row in self._rows.get(place, ()):
            if _meets(row, query, header_names):
                return row
        if place in self._rows and query:
            raise not_implemented("A query parameter you provided implies functionality that is not implemented")
        raise S3Error(Code.METHOD_NOT_ALLOWED, method=method, resource_type=target.name)

    def _refuse_unknown(self, operation: Operation, query: Mapping[str, str], header_names: Collection[str]) -> None:
        mutating = operation.mutating
        for name, value in query.items():
            if name in operation.known_query or name in _UNRELATED:
                continue
            if mutating and name == _VERSION_ID:
                raise S3Error(
                    Code.INVALID_ARGUMENT,
                    "This operation does not accept a version-id.",
                    argument_name=name,
                    argument_value=value,
                )
            if mutating or not value or name in self._sub_resources:
                raise not_implemented(
                    f"The query parameter {name} implies functionality that is not implemented", query_parameter=name
                )
        if not mutating:
            return
        understood = operation.headers
        for name in header_names:
            if name[:6] != "x-amz-" or name in understood or name.startswith(COMMON_HEADER_PREFIXES):
                continue
            if name[6:].partition("-")[0] in HEADER_KINDS:
                raise not_implemented(Code.NOT_IMPLEMENTED.message, header=name)


def split_target(target: str) -> tuple[str, str]:
    """Raw path and raw query of a request target; the absolute form of a proxy's request loses its authority."""
    absolute = _ABSOLUTE_FORM(target)
    if absolute is not None:
        target = target[absolute.end() :]
        if target[:1] != "/":
            target = "/" + target
    path, _, query = target.partition("?")
    return path, query


def decode_path(raw: str) -> bytes:
    """Percent-decoded bytes, which must be UTF-8 since every listing has to be able to name the key."""
    try:
        if "%" not in raw:
            return raw.encode()
        if _BAD_ESCAPE(raw):
            raise S3Error(Code.INVALID_URI)
        decoded = unquote_to_bytes(raw)
        if not decoded.isascii():
            decoded.decode()
    except UnicodeError:
        raise S3Error(Code.INVALID_URI) from None
    return decoded


def parse_query(raw: str) -> dict[str, str]:
    """Each parameter once: which of two S3 would take is not written anywhere, so two are refused."""
    query: dict[str, str] = {}
    for item in raw.split("&"):
        if not item:
            continue
        name, _, value = item.partition("=")
        if name in _SIGNING_AS_SENT:
            continue
        if "%" in name or "+" in name:
            name = _decode_parameter(name)
        if "%" in value or "+" in value:
            value = _decode_parameter(value)
        if name in query:
            raise S3Error(Code.INVALID_ARGUMENT, "A query parameter is given more than once", argument_name=name)
        query[name] = value
    return query


def _decode_parameter(raw: str) -> str:
    try:
        return unquote(raw.replace("+", " "), errors="strict")
    except UnicodeError:
        raise S3Error(Code.INVALID_URI) from None


def _split_hoisted(query: dict[str, str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    names = [name for name in query if name[:6].lower() == "x-amz-"]
    if not names:
        return query, EMPTY
    hoisted = {name.lower(): query.pop(name) for name in names}
    for name in _SIGNING:
        hoisted.pop(name, None)
    for name, value in hoisted.items():
        if not is_header(name, value):
            raise S3Error(Code.INVALID_ARGUMENT, argument_name=name, argument_value=value)
    return query, hoisted


def _meets(row: Operation, query: Mapping[str, str], header_names: Collection[str]) -> bool:
    for name, value in row.query:
        if name not in query or (value is not None and query[name] != value):
            return False
    return all(name in header_names for name in row.required_headers)
