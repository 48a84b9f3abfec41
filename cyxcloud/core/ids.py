"""Identifiers that cross processes and disks.

A blob id is made without asking anybody: the writer's session number (31 bits) leads, a counter of that process
follows, so an id tells which session made it, and ids of a closed session can be swept (pure).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NewType

SessionNumber = NewType("SessionNumber", int)
BlobId = NewType("BlobId", int)
VersionId = NewType("VersionId", int)
UploadId = NewType("UploadId", int)
AccountId = NewType("AccountId", int)
BucketId = NewType("BucketId", int)
NodeNumber = NewType("NodeNumber", int)
PlacementId = NewType("PlacementId", int)
NodeId = NewType("NodeId", bytes)

NODE_ID_BYTES = 32
SESSION_BITS = 31
COUNTER_BITS = 32

_SHARD = struct.Struct(">QIB")
SHARD_ID_BYTES = _SHARD.size


@dataclass(frozen=True, slots=True, order=True)
class ShardId:
    """One of the k+m pieces of one chunk of one blob; written once, never changed."""

    blob: BlobId
    chunk: int
    index: int

    def pack(self) -> bytes:
        return _SHARD.pack(self.blob, self.chunk, self.index)

    @classmethod
    def unpack(cls, data: bytes) -> ShardId:
        blob, chunk, index = _SHARD.unpack(data)
        return cls(BlobId(blob), chunk, index)


class IdSource:
    """Gives the ids of one write session: session << 32 | counter, never twice within the session."""

    def __init__(self, session: SessionNumber) -> None:
        assert 0 < session < 1 << SESSION_BITS
        self.session = session
        self._next = 1

    def next(self) -> int:
        """A new id, for a blob, a version, a part or an upload: one number space, so that no id names two things."""
        counter = self._next
        if counter >= 1 << COUNTER_BITS:
            raise OverflowError("session has used all its ids; open another")
        self._next = counter + 1
        return self.session << COUNTER_BITS | counter

    def blob(self) -> BlobId:
        return BlobId(self.next())


def session_of(number: int) -> SessionNumber:
    """The session that made a blob, version or upload id."""
    return SessionNumber(number >> COUNTER_BITS)
