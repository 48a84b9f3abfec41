"""Which blocks of which data shards a range of a chunk's plaintext needs (pure).

Plaintext range -> frames -> range of ciphertext -> for each data shard that it touches, a window of 64 KiB blocks.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from cyxcloud.core.ids import BlobId, NodeId, ShardId
from cyxcloud.core.merkle import BLOCK_BYTES, block_count
from cyxcloud.shards.frames import FRAME_BYTES, SEALED_FRAME_BYTES, sealed_size


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """All that metadata knows of a chunk."""

    blob: BlobId
    index: int
    root: bytes
    nodes: tuple[NodeId, ...]
    size: int  # plaintext bytes
    k: int
    m: int

    def shard(self, index: int) -> ShardId:
        return ShardId(self.blob, self.index, index)


@dataclass(frozen=True, slots=True)
class Window:
    """Blocks [first, stop) of a shard."""

    first: int
    stop: int

    def covers(self, other: Window) -> bool:
        return self.first <= other.first and other.stop <= self.stop


@dataclass(frozen=True, slots=True)
class Piece:
    """A data shard's window, and where it comes to lie when all of them are put together."""

    shard: int
    first_block: int
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """The windows' bytes follow one another in the ciphertext without a gap, from `base` on."""

    frames: range
    shard_size: int
    windows: dict[int, Window]  # by data shard
    pieces: tuple[Piece, ...]
    base: int
    wire_bytes: int

    def bytes_of(self, window: Window) -> int:
        return min(self.shard_size, window.stop * BLOCK_BYTES) - window.first * BLOCK_BYTES


def plan_read(size: int, k: int, start: int, end: int) -> ReadPlan:
    """For plaintext [start, end) of a chunk of this size."""
    assert 0 <= start < end <= size
    return _plan_frames(size, k, start // FRAME_BYTES, -(-end // FRAME_BYTES))


@functools.lru_cache(maxsize=512)
def _plan_frames(size: int, k: int, first_frame: int, stop_frame: int) -> ReadPlan:
    """Most chunks are of the same few sizes, and read whole."""
    frames = range(first_frame, stop_frame)
    ciphertext_size = sealed_size(size)
    shard_size = -(-ciphertext_size // k)
    first = frames.start * SEALED_FRAME_BYTES
    stop = min(frames.stop * SEALED_FRAME_BYTES, ciphertext_size)
    windows: dict[int, Window] = {}
    for shard in range(first // shard_size, -(-stop // shard_size)):
        from_byte = max(0, first - shard * shard_size)
        to_byte = min(shard_size, stop - shard * shard_size)
        windows[shard] = Window(from_byte // BLOCK_BYTES, block_count(to_byte))
    pieces: list[Piece] = []
    at = 0
    for shard, window in windows.items():
        length = min(shard_size, window.stop * BLOCK_BYTES) - window.first * BLOCK_BYTES
        pieces.append(Piece(shard, window.first, at, length))
        at += length
    base = pieces[0].shard * shard_size + pieces[0].first_block * BLOCK_BYTES
    return ReadPlan(frames, shard_size, windows, tuple(pieces), base, at)


def span(windows: Iterable[Window]) -> Window:
    """The smallest window that covers them all."""
    every = list(windows)
    return Window(min(window.first for window in every), max(window.stop for window in every))
