"""A damaged record is set aside, never deleted: copied to data/quarantine/, marked in its pack, dropped from the index.

After that the shard is NOT_FOUND here and a repair may put it again. Runs in the commit thread, as a job of its own.
Crash: copy first, then the mark; a second run finds the copy there and goes on.
"""

from __future__ import annotations

import contextlib

import structlog

from cyxcloud.core.durable import DISK, Disk, create_file
from nodefs.index import key_shard
from nodefs.record import ALIGN_BYTES, QUARANTINED, RecordDamaged, decode_header, payload_is_good
from nodefs.store import NodeStore

log = structlog.get_logger(__name__)


def quarantine_suspects(store: NodeStore, disk: Disk = DISK) -> int:
    """Look again at each record that a reader found damaged, and set aside those that are. Gives how many."""
    suspects, store.suspects = store.suspects, set()
    return sum(_quarantine(store, key, disk) for key in suspects if not store.down_reason)


def _quarantine(store: NodeStore, key: int, disk: Disk) -> bool:
    where = store.index.find(key)
    if where is None:
        return False
    pack = store.packs[where.pack]
    try:
        data = pack.pread(where.size, where.offset)
        if _is_good(data, key):
            return False
        name = f"{pack.number:08d}-{where.offset}-{key_shard(key).pack().hex()}"
        with contextlib.suppress(FileExistsError):
            create_file(store.folder.quarantine / name, data, disk=disk)
        store.findings.add([key_shard(key)])
    except OSError as error:
        store.fail(f"quarantining in {pack.path}: {error}")
        return False
    store.drop(key, QUARANTINED)
    log.error("record quarantined", node=store.folder.marker.name, shard=key_shard(key), pack=pack.number)
    return True


def _is_good(data: bytes, key: int) -> bool:
    try:
        header = decode_header(data[:ALIGN_BYTES])
    except RecordDamaged:
        return False
    payload = memoryview(data)[header.payload_at : header.payload_at + header.shard_size]
    return header.shard == key_shard(key) and payload_is_good(header, payload)
