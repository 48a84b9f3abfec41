"""A damaged record is set aside, never deleted: copied to data/quarantine/, marked in its pack, dropped from the index.

After that the shard is NOT_FOUND here and a repair may put it again; the finding tells the coordinator. Only a record
of the shard itself is marked: where the index points at nothing, or at another shard's record, only its row goes. What
scrub met outside its place in the index is put right from the packs, which alone say what exists.
Runs in the commit thread, as a job of its own, so that what it looks at does not change.
Crash: copy and finding first, then the mark; a second run finds the copy there and goes on.
"""

from __future__ import annotations

import contextlib
import errno
from typing import TypeVar

import structlog

from cyxcloud.core.durable import DISK, Disk, create_file
from nodefs.index import Location, key_of, key_shard
from nodefs.record import (
    ALIGN_BYTES,
    DELETED,
    LIVE,
    QUARANTINED,
    Header,
    RecordDamaged,
    decode_header,
    payload_is_good,
)
from nodefs.store import NodeStore

T = TypeVar("T")
log = structlog.get_logger(__name__)

# As many as fit a disk's patience: a job of the commit thread holds up the rounds behind it.
_MOST_AT_ONCE = 64


def mend(store: NodeStore, disk: Disk = DISK) -> int:
    """Look again at what readers and scrub met, and set aside what is bad. Gives how many records that were."""
    set_aside = 0
    for key in _taken(store.suspects):
        if not store.fault:
            set_aside += _quarantine(store, key, disk)
    for number, offset in _taken(store.strays):
        if not store.fault:
            _place(store, number, offset)
    for number in _taken(store.odd_packs):
        if not store.fault:
            _mend_pack(store, number)
    return set_aside


def _quarantine(store: NodeStore, key: int, disk: Disk) -> bool:
    where = store.index.find(key)
    if where is None:
        return False
    try:
        data = _read(store, where)
        header = _header(data)
        if _is_good(header, data, key, where):
            return False
        own = header is not None and key_of(header) == key
        if data:
            _keep_copy(store, where, key, data, disk)
        store.findings.add([key_shard(key)])
    except OSError as error:
        store.fail(f"quarantining in {store.folder.packs}", error)
        return False
    # A header that cannot be read may have been this shard's; were it marked, a stranger's might be.
    if own:
        store.drop(key, QUARANTINED)
    else:
        store.point(key, None)
    log.error("record quarantined", node=store.folder.marker.name, shard=key_shard(key), pack=where.pack)
    return True


def _place(store: NodeStore, number: int, offset: int) -> None:
    """A whole live record where the index has none, or has another for its shard."""
    pack = store.packs.get(number)
    if pack is None:
        return
    try:
        header = _header(pack.pread(ALIGN_BYTES, offset))
        if header is None or header.state != LIVE:
            return
        key = key_of(header)
        here = Location(number, offset, header.record_bytes, header.crc)
        known = store.index.find(key)
        if known == here or not _is_good(header, pack.pread(here.size, offset), key, here):
            return
        if known is not None and known.pack in store.packs:
            data = _read(store, known)
            if _is_good(_header(data), data, key, known):
                store.mark(number, offset, DELETED)  # a second copy, of an evacuation that did not end
                return
    except OSError as error:
        store.fail(f"reading {pack.path}", error)
        return
    store.point(key, here)
    log.error("index row put right", node=store.folder.marker.name, shard=key_shard(key), pack=number)


def _mend_pack(store: NodeStore, number: int) -> None:
    """Its first page can be made again, and what lies behind its end is nobody's."""
    pack = store.packs[number]
    try:
        if not pack.has_its_page(store.node_id):
            pack.write_page(store.node_id)
            log.error("first page of a pack made again", pack=str(pack.path))
        if pack.size() > pack.end:
            pack.cut(pack.end)
            log.error("bytes behind a pack's end cut", pack=str(pack.path))
    except OSError as error:
        store.fail(f"mending {pack.path}", error)


def _taken(waiting: set[T]) -> list[T]:
    """Some of them, removed; others add to the set at any time."""
    taken: list[T] = []
    with contextlib.suppress(KeyError):
        while len(taken) < _MOST_AT_ONCE:
            taken.append(waiting.pop())
    return taken


def _read(store: NodeStore, where: Location) -> bytes:
    """What is there; nothing where the disk cannot read it."""
    pack = store.packs.get(where.pack)
    if pack is None:
        return b""
    try:
        return pack.pread(where.size, where.offset)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b""


def _keep_copy(store: NodeStore, where: Location, key: int, data: bytes, disk: Disk) -> None:
    name = f"{where.pack:08d}-{where.offset}-{key_shard(key).pack().hex()}"
    try:
        create_file(store.folder.quarantine / name, data, disk=disk)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        log.warning("no room for a copy of a damaged record", node=store.folder.marker.name, shard=key_shard(key))


def _header(data: bytes) -> Header | None:
    try:
        return decode_header(data[:ALIGN_BYTES])
    except RecordDamaged:
        return None


def _is_good(header: Header | None, data: bytes, key: int, where: Location) -> bool:
    """Whether this is the record that was put, and not one like it: the index remembers its header's CRC."""
    if header is None or header.state != LIVE or key_of(header) != key or header.crc != where.crc:
        return False
    payload = memoryview(data)[header.payload_at : header.payload_at + header.shard_size]
    return payload_is_good(header, payload)
