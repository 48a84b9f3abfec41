"""Reed-Solomon over a chunk's ciphertext: k data shards, m parity shards, any k of them give it back (pure).

Codec id 1 is PyECLib's `isa_l_rs_cauchy`, systematic: data shard i is ciphertext[i*S:(i+1)*S] with S = ceil(size / k),
padded with zeros. Only the payload of a fragment is stored, sent or hashed; the header that the library puts before it
differs between its versions, so it is made here from a template when the library is to decode. The code works on
columns: a block of each of k shards gives the same block of any other, at any length. The library decodes a flipped
byte without a word: whoever calls verifies the columns first.

The library copies what it codes four times over, so the parity of what is written is computed by ISA-L itself, the one
that the library brings and has loaded, in the buffer that the shards are sent from. Both must agree before it is used.
"""

from __future__ import annotations

import ctypes
import functools
import os
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
_ISAL_NAMES = ("libisal-pyeclib.so.2", "libisal.so.2")
_TABLE_BYTES = 32  # ISA-L's, for each coefficient of the parity rows


class IsalEncoder:
    """ISA-L's parity of a profile, by pointers into the caller's buffer; the interpreter's lock is free meanwhile."""

    def __init__(self, isal: ctypes.CDLL, k: int, m: int) -> None:
        self._k, self._m = k, m
        self._isal = isal
        matrix = (ctypes.c_ubyte * ((k + m) * k))()
        self._tables = (ctypes.c_ubyte * (_TABLE_BYTES * k * m))()
        isal.gf_gen_cauchy1_matrix(matrix, k + m, k)
        isal.ec_init_tables(k, m, ctypes.byref(matrix, k * k), self._tables)
        self._pointers = ctypes.c_void_p * (k + m)
        self._parity_at = k * ctypes.sizeof(ctypes.c_void_p)

    def add_parity(self, shards: Buffer, size: int) -> None:
        first = ctypes.addressof(ctypes.c_char.from_buffer(shards))
        pointers = self._pointers(*range(first, first + (self._k + self._m) * size, size))
        parity = ctypes.byref(pointers, self._parity_at)
        self._isal.ec_encode_data(size, self._k, self._m, self._tables, pointers, parity)


def load_isal() -> ctypes.CDLL | None:
    """The ISA-L that is in this process already, whatever the library's packager called it."""
    for name in _ISAL_NAMES:
        try:
            return ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:
            continue
    return None


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
        self._isal = self._checked_isal(load_isal())

    def shard_size(self, ciphertext_size: int) -> int:
        return -(-ciphertext_size // self.k)

    def encode(self, ciphertext: bytes) -> list[memoryview]:
        """The payloads of all k+m shards, in order."""
        return [memoryview(fragment)[_HEADER_BYTES:] for fragment in self._driver.encode(ciphertext)]

    def add_parity(self, shards: memoryview, size: int) -> None:
        """All k+m shards of `size` bytes stand one after another: the k first hold data, the others are overwritten."""
        assert len(shards) == self.total * size
        if self._isal is not None:
            self._isal.add_parity(shards, size)
        else:
            parity = self._driver.encode(bytes(shards[: self.k * size]))[self.k :]
            shards[self.k * size :] = b"".join([fragment[_HEADER_BYTES:] for fragment in parity])

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

    def _checked_isal(self, isal: ctypes.CDLL | None) -> IsalEncoder | None:
        """None where there is no ISA-L, or it codes otherwise than the library as installed."""
        if isal is None:
            return None
        size = 97
        data = bytes((7 * at + 3) % 251 for at in range(self.k * size))
        shards = bytearray(self.total * size)
        shards[: len(data)] = data
        encoder = IsalEncoder(isal, self.k, self.m)
        encoder.add_parity(shards, size)
        return encoder if b"".join(self.encode(data)) == shards else None


@functools.lru_cache(maxsize=16)
def codec(k: int, m: int) -> Codec:
    """The codec of a profile; making one costs a table in the library, so each is made once."""
    return Codec(k, m)
