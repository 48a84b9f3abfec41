"""Reads every record again within thirty days, so that decay is found while there are shards to repair it from.

The cursor (pack, offset) is kept in the index, so a restart goes on where it was. Each step reads as much as
falls due and no more than a fixed amount, in the order of the packs, which is also the disk's.
"""

from __future__ import annotations

import struct

from nodefs.index import shard_key
from nodefs.record import ALIGN_BYTES, LIVE, payload_is_good
from nodefs.recovery import next_magic, read_header
from nodefs.store import NodeStore

ROUND_SECONDS = 30 * 86400
# However full the node is, a step stays short of what foreground reads would feel.
_MOST_BYTES_A_STEP = 8 * 1024 * 1024
_CURSOR = struct.Struct(">IQ")


class Scrubber:
    """One node's; it saves up what is due until that is worth a read."""

    def __init__(self, store: NodeStore) -> None:
        self._store = store
        self._due = 0.0

    def scrub(self, seconds: float) -> int:
        """Check as many records as fall due in this many seconds; gives how many bytes were read."""
        store = self._store
        self._due = min(_MOST_BYTES_A_STEP, self._due + store.live_bytes * seconds / ROUND_SECONDS)
        if self._due < ALIGN_BYTES:
            return 0
        number, offset = _load(store)
        read = 0
        while read < self._due:
            if offset >= store.states[number].scanned_to:
                number, offset = _next_pack(store, number), ALIGN_BYTES
                if store.states[number].scanned_to <= offset:
                    break
            size = check_record(store, number, offset)
            read += size
            offset += size
        self._due -= read
        store.index.save_scrub_cursor(_CURSOR.pack(number, offset))
        return read


def check_record(store: NodeStore, number: int, offset: int) -> int:
    """Check the record there and name it a suspect when it is damaged; gives the way to the next one."""
    pack = store.packs[number]
    header = read_header(pack, offset)
    if header is None:
        lost = store.index.key_at(number, offset)
        if lost is None:
            return next_magic(pack, offset + ALIGN_BYTES) - offset
        store.suspects.add(lost[0])
        return lost[1].size
    key = shard_key(header.shard.blob, header.shard.chunk, header.shard.index)
    where = store.index.find(key)
    if header.state == LIVE and where is not None and (where.pack, where.offset) == (number, offset):
        payload = pack.pread(header.shard_size, offset + header.payload_at)
        if not payload_is_good(header, payload):
            store.suspects.add(key)
    return header.record_bytes


def _load(store: NodeStore) -> tuple[int, int]:
    cursor = store.index.scrub_cursor()
    if len(cursor) != _CURSOR.size:
        return min(store.packs), ALIGN_BYTES
    number, offset = _CURSOR.unpack(cursor)
    return (number, offset) if number in store.packs else (_next_pack(store, number), ALIGN_BYTES)


def _next_pack(store: NodeStore, number: int) -> int:
    later = [other for other in store.packs if other > number]
    return min(later) if later else min(store.packs)
