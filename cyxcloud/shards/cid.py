"""Content identity: CIDv1, dag-cbor, BLAKE3-256, base32 (pure).

A segment's CID is the hash of a small map that links the raw-codec CIDs of its 4 MiB plaintext chunks; an object's
links its segments. So a CID names content *and* layout, and anyone can compute it off-line from the bytes and the part
sizes. The map's keys stand in DAG-CBOR's order (shorter first), integers in their shortest form: one content, one
encoding.
"""

from __future__ import annotations

import base64
import functools
import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence

from blake3 import blake3

from cyxcloud.shards.frames import CHUNK_BYTES, Buffer

CID_BYTES = 36
# Base 32 in Python costs more than the rest of a HEAD's answer; popular objects are asked for again.
TEXTS_KEPT = 8192
MAX_LAYOUT_PARTS = 10_000  # S3's limit on the parts of an upload
MAX_LAYOUT_TEXT = 400_000  # the longest canonical text of that many parts, with room
MAX_PART_BYTES = 5 << 40

_DAG_CBOR = bytes((0x01, 0x71, 0x1E, 0x20))  # CIDv1, dag-cbor, BLAKE3, 32 bytes
_RAW = bytes((0x01, 0x55, 0x1E, 0x20))
_VERSION = 1


class LayoutError(ValueError):
    """A layout text that is not `SIZE[*COUNT],...`, or not what the bytes amount to."""


def raw_cid(digest: bytes) -> bytes:
    return _RAW + digest


def chunks_cid(size: int, digests: Sequence[bytes]) -> bytes:
    """A segment's CID from the BLAKE3 digests of its plaintext chunks, each CHUNK_BYTES long but the last."""
    assert len(digests) == -(-size // CHUNK_BYTES)
    sizes = itertools.chain(itertools.repeat(CHUNK_BYTES, max(0, len(digests) - 1)), (size - _whole(digests),))
    return _dag_cid("chunks", size, [(raw_cid(digest), length) for digest, length in zip(digests, sizes, strict=False)])


def object_cid(segments: Sequence[tuple[bytes, int]]) -> bytes:
    """An object's CID from its segments' (CID, size), in order."""
    return _dag_cid("segments", sum(size for _, size in segments), segments)


_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_DIGIT_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_PAIRS_AT = tuple(range(280, -1, -10))


@functools.lru_cache(TEXTS_KEPT)
def cid_text(cid: bytes) -> str:
    bits = int.from_bytes(cid, "big") << 2  # 288 bits and two of padding: 58 digits
    return "b" + "".join([_DIGIT_PAIRS[bits >> at & 1023] for at in _PAIRS_AT])


def parse_cid(text: str) -> bytes:
    """The 36 bytes of a CID of ours in its canonical text; ValueError for anything else."""
    if len(text) == 59 and text.isascii():
        cid = base64.b32decode(text[1:].upper() + "======")
        if cid[:4] in (_DAG_CBOR, _RAW) and cid_text(cid) == text:
            return cid
    raise ValueError("not a CIDv1 of dag-cbor or raw, BLAKE3-256, in base32")


def format_layout(sizes: Iterable[int]) -> str:
    """Part sizes run-length coded: `16777216*63,5242880`."""
    runs = ((size, sum(1 for _ in run)) for size, run in itertools.groupby(sizes))
    return ",".join(f"{size}*{count}" if count > 1 else str(size) for size, count in runs)


def parse_layout(text: str) -> list[int]:
    if len(text) > MAX_LAYOUT_TEXT:
        raise LayoutError("layout too long")
    sizes: list[int] = []
    for run in text.split(","):
        size, star, count = run.partition("*")
        times = _number(count, MAX_LAYOUT_PARTS) if star else 1
        if times == 0 or len(sizes) + times > MAX_LAYOUT_PARTS:
            raise LayoutError(f"a layout has 1 to {MAX_LAYOUT_PARTS} parts")
        sizes.extend(itertools.repeat(_number(size, MAX_PART_BYTES), times))
    return sizes


class SegmentCid:
    """Computes a segment's CID from its plaintext, fed in pieces of any size."""

    def __init__(self) -> None:
        self.size = 0
        self._digests: list[bytes] = []
        self._hasher = blake3()

    def update(self, data: Buffer) -> None:
        view = memoryview(data)
        while view:
            piece = view[: CHUNK_BYTES - self.size % CHUNK_BYTES]
            self._hasher.update(piece)
            self.size += len(piece)
            if self.size % CHUNK_BYTES == 0:
                self._close_chunk()
            view = view[len(piece) :]

    def finish(self) -> bytes:
        if self.size % CHUNK_BYTES:
            self._close_chunk()
        return chunks_cid(self.size, self._digests)

    def _close_chunk(self) -> None:
        self._digests.append(self._hasher.digest())
        self._hasher = blake3()


class CidBuilder:
    """Computes an object's CID from its bytes, cut into segments by the layout; without one it is one segment."""

    def __init__(self, layout: Sequence[int] | None = None) -> None:
        self._ends: Iterator[int] | None = iter(layout) if layout is not None else None
        self._segments: list[tuple[bytes, int]] = []
        self._open_segment()

    def update(self, data: Buffer) -> None:
        view = memoryview(data)
        while view:
            if self._left == 0:
                self._close_segment()
                self._open_segment()
                continue
            piece = view if self._left is None else view[: self._left]
            self._segment.update(piece)
            if self._left is not None:
                self._left -= len(piece)
            view = view[len(piece) :]

    def finish(self) -> bytes:
        self._close_segment()
        while self._ends is not None and (left := next(self._ends, None)) is not None:
            if left:
                raise LayoutError("the layout names more bytes than there are")
            self._segment = SegmentCid()
            self._close_segment()
        return object_cid(self._segments)

    def _open_segment(self) -> None:
        self._segment = SegmentCid()
        self._left = None if self._ends is None else next(self._ends, None)
        if self._ends is not None and self._left is None:
            raise LayoutError("the layout names fewer bytes than there are")

    def _close_segment(self) -> None:
        if self._left:
            raise LayoutError("the layout names more bytes than there are")
        self._left = None
        self._segments.append((self._segment.finish(), self._segment.size))


def _whole(digests: Sequence[bytes]) -> int:
    return CHUNK_BYTES * max(0, len(digests) - 1)


def _number(text: str, limit: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 13 or (text != "0" and text[0] == "0"):
        raise LayoutError(f"not a size or count: {text[:20]!r}")
    value = int(text)
    if value > limit:
        raise LayoutError(f"{value} is above {limit}")
    return value


def _dag_cid(kind: str, size: int, links: Sequence[tuple[bytes, int]]) -> bytes:
    """CID of {v, kind, size, links: [{cid, size}], chunk_size}; each link is tag 42 over 0x00 || CID."""
    parts = [_OPENING[kind], _head(0, size), _LINKS, _head(4, len(links))]
    for cid, length in links:
        parts += [_LINK, cid, _SIZE, _head(0, length)]
    parts.append(_CLOSING)
    return _DAG_CBOR + blake3(b"".join(parts)).digest()


def _text(value: str) -> bytes:
    return _head(3, len(value)) + value.encode("ascii")


def _head(major: int, value: int) -> bytes:
    """A CBOR initial byte and argument in the shortest form, which deterministic encoding asks for."""
    if value < 24:
        return bytes((major << 5 | value,))
    for extra, (form, limit) in enumerate(((">BB", 1 << 8), (">BH", 1 << 16), (">BI", 1 << 32)), start=24):
        if value < limit:
            return struct.pack(form, major << 5 | extra, value)
    return struct.pack(">BQ", major << 5 | 27, value)


_SIZE = _text("size")
_LINKS = _text("links")
_LINK = _head(5, 2) + _text("cid") + b"\xd8\x2a" + _head(2, CID_BYTES + 1) + b"\x00"
_CLOSING = _text("chunk_size") + _head(0, CHUNK_BYTES)
_OPENING = {
    kind: _head(5, 5) + _text("v") + _head(0, _VERSION) + _text("kind") + _text(kind) + _SIZE
    for kind in ("chunks", "segments")
}
