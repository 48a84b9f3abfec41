"""How S3's requests name, announce and give checksums (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cyxcloud.core.checksums import Algorithm, decode_digest, encode_digest
from s3gw.body_errors import BodyError, BodyFault
from s3gw.sigv4.view import header

__all__ = ["ExpectedChecksum", "encode_digest", "header_name", "parse_checksum", "parse_digest", "trailer_names"]

PREFIX = "x-amz-checksum-"
_MULTIPLE = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
_BY_HEADER = {PREFIX + algorithm.value.lower(): algorithm for algorithm in Algorithm}
_HEADERS = {algorithm: name for name, algorithm in _BY_HEADER.items()}
# Headers of the same prefix that say how, not what.
_NOT_VALUES = frozenset({PREFIX + "algorithm", PREFIX + "type", PREFIX + "mode"})


@dataclass(frozen=True, slots=True)
class ExpectedChecksum:
    """`digest` is None while it is still to come, in the trailer."""

    algorithm: Algorithm
    digest: bytes | None


def header_name(algorithm: Algorithm) -> str:
    return _HEADERS[algorithm]


def parse_checksum(headers: Mapping[str, str | list[str]]) -> ExpectedChecksum | None:
    """The one checksum that a request's headers give or announce."""
    named = [name for name in headers if name.startswith(PREFIX) and name not in _NOT_VALUES]
    announced = trailer_names(headers)
    if not named and not announced:
        return None
    if len(named) + len(announced) > 1:
        raise BodyError(BodyFault.INVALID_REQUEST, _MULTIPLE)
    name = named[0] if named else announced[0]
    algorithm = _BY_HEADER.get(name)
    if algorithm is None:
        raise _unsupported(name)
    _check_sdk_algorithm(headers, algorithm)
    if announced:
        return ExpectedChecksum(algorithm, None)
    return ExpectedChecksum(algorithm, parse_digest(algorithm, header(headers, name) or ""))


def trailer_names(headers: Mapping[str, str | list[str]]) -> list[str]:
    """The trailers that x-amz-trailer announces; S3 knows none but checksums."""
    value = header(headers, "x-amz-trailer")
    if value is None:
        return []
    names = [name.strip().lower() for name in value.split(",")]
    for name in names:
        if not name.startswith(PREFIX):
            raise BodyError(
                BodyFault.INVALID_REQUEST, "The value specified in the x-amz-trailer header is not supported"
            )
    return names


def parse_digest(algorithm: Algorithm, text: str) -> bytes:
    digest = decode_digest(text, algorithm.digest_bytes)
    if digest is None:
        # S3's own word for it is InvalidRequest; both are 400, and suites and other stores say BadDigest.
        raise BodyError(BodyFault.BAD_DIGEST, f"Value for {header_name(algorithm)} header is invalid.")
    return digest


def _check_sdk_algorithm(headers: Mapping[str, str | list[str]], algorithm: Algorithm) -> None:
    """Clients send it with requests that carry no checksum too; there it says nothing."""
    named = header(headers, "x-amz-sdk-checksum-algorithm")
    if named is not None and named.upper() != algorithm.value:
        raise BodyError(BodyFault.INVALID_REQUEST, "Value for x-amz-sdk-checksum-algorithm header is invalid.")


def _unsupported(name: str) -> BodyError:
    return BodyError(
        BodyFault.NOT_IMPLEMENTED,
        "A header you provided implies functionality that is not implemented",
        Header=name,
    )
