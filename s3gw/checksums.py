"""S3's flexible checksums: how they are named, asked for, computed, combined and written (pure).

A CRC of a multipart object covers the whole object and is combined from the parts' (full object); a SHA is the hash of
the parts' hashes, followed by their number (composite). Hashers are fed in order, from any one thread at a time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from awscrt import checksums as crt

from s3gw.body_errors import BodyError, BodyFault
from s3gw.sigv4.view import header

Buffer = bytes | bytearray | memoryview

PREFIX = "x-amz-checksum-"
_MULTIPLE = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."


class Checksum(Enum):
    """Values are S3's own names, as in x-amz-checksum-algorithm."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"

    @property
    def header(self) -> str:
        return PREFIX + self.value.lower()

    @property
    def digest_bytes(self) -> int:
        return _DIGEST_BYTES[self]

    @property
    def is_crc(self) -> bool:
        return self in _CRCS


_DIGEST_BYTES = {
    Checksum.CRC32: 4,
    Checksum.CRC32C: 4,
    Checksum.CRC64NVME: 8,
    Checksum.SHA1: 20,
    Checksum.SHA256: 32,
}
_BY_HEADER = {checksum.header: checksum for checksum in Checksum}
# Headers of the same prefix that say how, not what.
_NOT_VALUES = frozenset({PREFIX + "algorithm", PREFIX + "type", PREFIX + "mode"})


class Hasher(Protocol):
    def update(self, data: Buffer, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Crc:
    run: Callable[[Buffer, int], int]
    combine: Callable[[int, int, int], int]


_CRCS: Mapping[Checksum, _Crc] = {
    # zlib takes two thirds of the time of the other here, and boto3 sends this one by default.
    Checksum.CRC32: _Crc(zlib.crc32, crt.combine_crc32),
    Checksum.CRC32C: _Crc(crt.crc32c, crt.combine_crc32c),
    Checksum.CRC64NVME: _Crc(crt.crc64nvme, crt.combine_crc64nvme),
}


class _CrcHasher:
    def __init__(self, checksum: Checksum) -> None:
        self._run = _CRCS[checksum].run
        self._size = checksum.digest_bytes
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = self._run(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def new_hasher(checksum: Checksum) -> Hasher:
    if checksum is Checksum.SHA256:
        return hashlib.sha256()
    if checksum is Checksum.SHA1:
        return hashlib.sha1(usedforsecurity=False)
    return _CrcHasher(checksum)


def compute(checksum: Checksum, data: Buffer) -> bytes:
    hasher = new_hasher(checksum)
    hasher.update(data)
    return hasher.digest()


def combine(checksum: Checksum, parts: Iterable[tuple[bytes, int]]) -> bytes:
    """The CRC of the whole from each part's (CRC, length), in order; `checksum` must be a CRC."""
    crc = _CRCS[checksum]
    whole = 0
    for digest, length in parts:
        whole = crc.combine(whole, int.from_bytes(digest, "big"), length)
    return whole.to_bytes(checksum.digest_bytes, "big")


def composite(checksum: Checksum, digests: Iterable[bytes]) -> str:
    """The checksum of the parts' checksums and their number, as S3 writes it."""
    parts = list(digests)
    return f"{encode_digest(compute(checksum, b''.join(parts)))}-{len(parts)}"


def encode_digest(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def decode_digest(text: str, size: int) -> bytes | None:
    """Exactly `size` bytes of padded base64, or None."""
    try:
        digest = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        return None
    return digest if len(digest) == size else None


@dataclass(frozen=True, slots=True)
class ExpectedChecksum:
    """`digest` is None while it is still to come, in the trailer."""

    checksum: Checksum
    digest: bytes | None


def parse_checksum(headers: Mapping[str, str | list[str]]) -> ExpectedChecksum | None:
    """The one checksum that a request's headers give or announce."""
    named = [name for name in headers if name.startswith(PREFIX) and name not in _NOT_VALUES]
    announced = trailer_names(headers)
    if not named and not announced:
        return None
    if len(named) + len(announced) > 1:
        raise BodyError(BodyFault.INVALID_REQUEST, _MULTIPLE)
    name = named[0] if named else announced[0]
    checksum = _BY_HEADER.get(name)
    if checksum is None:
        raise _unsupported(name)
    _check_sdk_algorithm(headers, checksum)
    if announced:
        return ExpectedChecksum(checksum, None)
    return ExpectedChecksum(checksum, parse_digest(checksum, header(headers, name) or ""))


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


def parse_digest(checksum: Checksum, text: str) -> bytes:
    digest = decode_digest(text, checksum.digest_bytes)
    if digest is None:
        raise BodyError(BodyFault.INVALID_REQUEST, f"Value for {checksum.header} header is invalid.")
    return digest


def _check_sdk_algorithm(headers: Mapping[str, str | list[str]], checksum: Checksum) -> None:
    """Clients send it with requests that carry no checksum too; there it says nothing."""
    named = header(headers, "x-amz-sdk-checksum-algorithm")
    if named is not None and named.upper() != checksum.value:
        raise BodyError(BodyFault.INVALID_REQUEST, "Value for x-amz-sdk-checksum-algorithm header is invalid.")


def _unsupported(name: str) -> BodyError:
    return BodyError(
        BodyFault.NOT_IMPLEMENTED,
        "A header you provided implies functionality that is not implemented",
        Header=name,
    )
