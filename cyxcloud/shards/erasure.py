"""Reed-Solomon over a chunk's ciphertext: k data shards, m parity shards, any k of them give it back (pure).

Codec id 1 is PyECLib's `isa_l_rs_cauchy`, systematic: data shard i is ciphertext[i*S:(i+1)*S] with S = ceil(size / k),
padded with zeros. Only the payload of a fragment is stored, sent or hashed; the header that the library puts before it
differs between its versions, so it is made here from a template when the library is to decode. The code works on
columns: a block of each of k shards gives the same block of any other, at any length. The library decodes a flipped
byte without a word: whoever calls verifies the columns first.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Iterable, Mapping

from pyeclib.ec_iface import ECDriver

Buffer = bytes | bytearray | memoryview

CODEC_ID = 1
CODEC_NAME = "isa_l_rs_cauchy"

_HEADER_BYTES = 80
_HEAD = struct.Struct("<IIIQ")  # index, payload size, metadata size, original size
_METADATA_BYTES = 59  # what the header's own checksum covers
_CHECKSUM = struct.Struct("<I")
_CHECKSUM_AT = 67


class Codec:
    """Encodes and rebuilds for one profile k+m. Stateless once made, so one instance serves all threads."""

    def __init__(self, k: int, m: int) -> None:
        assert k >= 1
        assert m >= 1
        self.k = k
        self.m = m
        self.total = k + m
        self._driver = ECDriver(k=k, m=m, ec_type=CODEC_NAME)
        self._template = self._checked_template()

    def shard_size(self, ciphertext_size: int) -> int:
        return -(-ciphertext_size // self.k)

    def encode(self, ciphertext: bytes) -> list[memoryview]:
        """The payloads of all k+m shards, in order."""
        return [memoryview(fragment)[_HEADER_BYTES:] for fragment in self._driver.encode(ciphertext)]

    def decode(self, payloads: Mapping[int, Buffer], size: int) -> bytes:
        """The ciphertext, `size` bytes long, from any k whole payloads."""
        lost = [index for index in range(self.k) if index not in payloads]
        found = {**payloads, **self.reconstruct(lost, payloads)}
        return b"".join([found[index] for index in range(self.k)])[:size]

    def reconstruct(self, wanted: Iterable[int], columns: Mapping[int, Buffer]) -> dict[int, memoryview]:
        """The wanted shards' columns from the same column of at least k others, all of one length."""
        missing = sorted(set(wanted))
        if not missing:
            return {}
        sources = sorted(columns)[: self.k]
        if len(sources) < self.k:
            raise ValueError(f"{len(sources)} columns cannot give back {self.k}")
        length = len(columns[sources[0]])
        fragments = [self._header(index, length) + columns[index] for index in sources]
        rebuilt = self._driver.reconstruct(fragments, missing)
        return {index: memoryview(fragment)[_HEADER_BYTES:] for index, fragment in zip(missing, rebuilt, strict=True)}

    def _header(self, index: int, length: int) -> bytes:
        header = bytearray(self._template)
        _HEAD.pack_into(header, 0, index, length, 0, length * self.k)
        _CHECKSUM.pack_into(header, _CHECKSUM_AT, zlib.crc32(header[:_METADATA_BYTES]))
        return bytes(header)

    def _checked_template(self) -> bytes:
        """A header of the library as installed; that it is laid out as known here is checked before any data is."""
        sample = bytes(range(self.k))
        fragments = self._driver.encode(sample)
        self._template = bytes(fragments[0][:_HEADER_BYTES])
        if any(fragment[:_HEADER_BYTES] != self._header(at, 1) for at, fragment in enumerate(fragments)):
            raise RuntimeError("the installed liberasurecode writes a fragment header that this version does not know")
        if b"".join(fragment[_HEADER_BYTES:] for fragment in fragments[: self.k]) != sample:
            raise RuntimeError("the installed liberasurecode is not systematic")
        return self._template


@functools.lru_cache(maxsize=16)
def codec(k: int, m: int) -> Codec:
    """The codec of a profile; making one costs a table in the library, so each is made once."""
    return Codec(k, m)
