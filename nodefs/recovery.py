"""Opening a node: index against packs, tail against block hashes, orders against tombstones.

Start: each pack is read from where the index stops. A record there counts when header and payload are whole. Where one
is not: if nothing valid follows, it is a torn tail, never acknowledged, and is cut; otherwise the bytes stay
as they are and the record is marked quarantined, since what follows may have been acknowledged, and so may this: the
coordinator is told of it first, and of what the index knew in packs that are gone or shorter than they were. Then the
order log is carried out from the index's position on.
No index, a damaged one, or one that knows packs that are not there: it is made again from the packs alone. Headers tell
all; payloads are read only in the last two packs, which hold all that the last round before a crash can have written.
Everything here may be interrupted and repeated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from cyxcloud.core.clock import Clock
from cyxcloud.core.durable import DISK, Disk, fsync_dir
from cyxcloud.core.ids import ShardId
from cyxcloud.wire.orders import decode_order, make_receipt
from cyxcloud.wire.status import Status
from nodefs.findings import FindingsLog
from nodefs.folder import FolderUnusable, NodeFolder
from nodefs.index import IndexUnusable, Location, NodeIndex, PackState, key_of, key_shard, shard_key
from nodefs.orders_log import Logged, OrderLog
from nodefs.pack import FIRST_RECORD, SUFFIX, Pack, PackDamaged
from nodefs.record import (
    ALIGN_BYTES,
    DELETED,
    LIVE,
    MAGIC,
    QUARANTINED,
    Header,
    RecordDamaged,
    decode_header,
    payload_is_good,
)
from nodefs.settled import Settled
from nodefs.space import DiskSpace
from nodefs.store import NodeStore

log = structlog.get_logger(__name__)

_SEARCH_BYTES = 1 << 20
# Rebuilding checks the payloads of this many packs at the end: a round touches two when it rolls.
_CHECKED_PACKS = 2
# Rebuilding flushes the index when this many entries (some 30 MB) wait.
_DIRTY_ENTRIES = 100_000


@dataclass(slots=True)
class Findings:
    """What opening a node came upon; zero everywhere after a clean stop."""

    rebuilt: bool = False
    recovered: int = 0  # records taken in from the tails
    cut_bytes: int = 0
    quarantined: list[tuple[int, int]] = field(default_factory=list)  # (pack, offset)
    foreign: list[str] = field(default_factory=list)  # files that are no packs of this node
    redone: int = 0  # tombstones written again


@dataclass(frozen=True, slots=True)
class _Opening:
    packs: dict[int, Pack]
    index: NodeIndex
    states: dict[int, PackState]
    findings: Findings
    told: FindingsLog

    def holds(self, where: Location, key: int) -> bool:
        pack = self.packs.get(where.pack)
        header = None if pack is None else read_header(pack, where.offset)
        return header is not None and header.state == LIVE and key_of(header) == key and header.crc == where.crc


def open_store(folder: NodeFolder, space: DiskSpace, clock: Clock, disk: Disk = DISK) -> tuple[NodeStore, Findings]:
    findings = Findings()
    told = FindingsLog(folder.findings, folder.quarantine, disk)
    packs = _open_packs(folder, findings, disk)
    index = _open_index(folder.index, packs, findings, told)
    states = index.packs()
    first_checked = 0 if not findings.rebuilt else _first_checked(packs)
    opening = _Opening(packs, index, states, findings, told)
    for number in sorted(packs):
        _take_in(opening, packs[number], check=number >= first_checked)
    store = NodeStore(
        folder,
        index=index,
        packs=packs,
        states=states,
        orders=(orders := OrderLog(folder.orders, disk)),
        findings=told,
        space=space,
        clock=clock,
        disk=disk,
    )
    _redo(store, orders, index, findings, clock)
    if store.fault:
        raise FolderUnusable(f"{folder.path}: {store.fault}")
    store.checkpoint()
    if findings != Findings():
        log.warning("node recovered", node=folder.marker.name, findings=findings)
    return store, findings


def _open_packs(folder: NodeFolder, findings: Findings, disk: Disk) -> dict[int, Pack]:
    packs: dict[int, Pack] = {}
    for path in sorted(folder.packs.glob(f"*{SUFFIX}")):
        try:
            pack = Pack.open(path, folder.identity.node_id, disk)
        except PackDamaged as error:
            _set_aside(path, folder, error, findings, disk)
            continue
        packs[pack.number] = pack
    return packs


def _set_aside(path: Path, folder: NodeFolder, error: PackDamaged, findings: Findings, disk: Disk) -> None:
    """Not ours, or torn while it was made (then it is empty): out of the way, never deleted."""
    target = folder.quarantine / path.name
    disk.rename(path, target)
    fsync_dir(folder.quarantine, disk=disk)
    fsync_dir(folder.packs, disk=disk)
    findings.foreign.append(f"{path.name}: {error}")


def _open_index(path: Path, packs: dict[int, Pack], findings: Findings, told: FindingsLog) -> NodeIndex:
    fresh = not path.exists()
    try:
        index = NodeIndex(path)
        known = index.packs()
        if all(number in packs and state.scanned_to <= packs[number].end for number, state in known.items()):
            findings.rebuilt = fresh and bool(packs)
            return index
        told.add(_not_held(index, known, packs))
        index.close()
        log.warning("index knows more than the packs hold; rebuilding", path=str(path))
    except IndexUnusable as error:
        log.warning("index unusable; rebuilding", path=str(path), error=str(error))
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).unlink()
    findings.rebuilt = True
    return NodeIndex(path)


def _not_held(index: NodeIndex, known: dict[int, PackState], packs: dict[int, Pack]) -> list[ShardId]:
    """What the index knows in packs that are gone or shorter than they were."""
    ends = {number: packs[number].end if number in packs else 0 for number in known}
    return [
        key_shard(key)
        for number, end in ends.items()
        if end < known[number].scanned_to
        for key, where in index.rows_of(number)
        if where.offset + where.size > end
    ]


def _first_checked(packs: dict[int, Pack]) -> int:
    last = sorted(packs)[-_CHECKED_PACKS:]
    return last[0] if last else 0


def _take_in(opening: _Opening, pack: Pack, *, check: bool) -> None:
    """Read the pack from where the index stops and move its end to behind the last good record."""
    index, states, findings = opening.index, opening.states, opening.findings
    state = states.setdefault(pack.number, PackState(FIRST_RECORD))
    end = state.scanned_to
    entries: dict[int, Location | None] = {}
    bad: list[tuple[int, ShardId]] = []
    marked = False
    if end < pack.end:
        # What a crash of this process left in the page cache only, or a failed sync left there as if it were written,
        # must not be taken for stored: from here on the disk itself is read.
        pack.settle_on_disk(end)
    for offset, header, good in walk(pack, state.scanned_to, check=check):
        if not good:
            bad.append((offset, header.shard))
            continue
        opening.told.add([shard for _, shard in bad])
        marked |= _quarantine(pack, end, offset, [at for at, _ in bad], findings)
        end, bad = offset + header.record_bytes, []
        if header.state == LIVE:
            marked |= _index_record(opening, pack, offset, header, entries)
    if end < pack.end:
        findings.cut_bytes += pack.end - end
        pack.cut(end)
    elif marked:
        pack.sync()
    state.scanned_to = pack.end
    index.publish(entries)
    if index.dirty > _DIRTY_ENTRIES:
        index.begin_checkpoint()
        index.finish_checkpoint(states, index.orders_position())


def _index_record(
    opening: _Opening, pack: Pack, offset: int, header: Header, entries: dict[int, Location | None]
) -> bool:
    """True where the record was marked instead: a second copy of a shard (an evacuation that did not end).

    Where the index knows one that is not there any more (it was set aside, and this one put in its place), this one is
    the shard.
    """
    key = key_of(header)
    where = Location(pack.number, offset, header.record_bytes, header.crc)
    known = entries.get(key) or opening.index.find(key)
    if known is not None and (known.pack, known.offset) != (where.pack, where.offset):
        if opening.holds(known, key):
            pack.mark(offset, DELETED)
            return True
        before = opening.states[known.pack]
        before.live_bytes -= known.size
        before.live_count -= 1
    state = opening.states[pack.number]
    state.live_bytes += where.size
    state.live_count += 1
    entries[key] = where
    opening.findings.recovered += 1
    return False


def walk(pack: Pack, offset: int, *, check: bool) -> Iterator[tuple[int, Header, bool]]:
    """(offset, header, whether the record is whole) from here on; what has no valid header is stepped over."""
    while offset < pack.end:
        header = read_header(pack, offset)
        if header is None:
            offset = next_magic(pack, offset + ALIGN_BYTES)
            continue
        whole = offset + header.record_bytes <= pack.end
        if whole and check and header.state == LIVE:
            payload = pack.pread(header.shard_size, offset + header.payload_at)
            whole = payload_is_good(header, payload)
        yield offset, header, whole
        # The sizes of a record that is not whole may be right all the same, but only a search is sure to miss nothing.
        offset = offset + header.record_bytes if whole else next_magic(pack, offset + ALIGN_BYTES)


def read_header(pack: Pack, offset: int) -> Header | None:
    try:
        return decode_header(pack.pread(ALIGN_BYTES, offset))
    except RecordDamaged:
        return None


def next_magic(pack: Pack, offset: int) -> int:
    """The next page that begins like a record, or the pack's end."""
    while offset < pack.end:
        data = pack.pread(_SEARCH_BYTES, offset)
        for at in range(0, len(data), ALIGN_BYTES):
            if data.startswith(MAGIC, at):
                return offset + at
        if len(data) < _SEARCH_BYTES:
            break
        offset += len(data)
    return pack.end


def _quarantine(pack: Pack, start: int, end: int, bad: list[int], findings: Findings) -> bool:
    """Something good follows this gap: mark the bad records in it, leave the bytes. True where anything was marked."""
    if start == end:
        return False
    for offset in bad:
        pack.mark(offset, QUARANTINED)
    findings.quarantined.append((pack.number, start))
    return bool(bad)


def _redo(store: NodeStore, orders: OrderLog, index: NodeIndex, findings: Findings, clock: Clock) -> None:
    """Carry out again what was ordered since the index was flushed, and answer what was not answered."""
    for logged in orders.since(index.orders_position()):
        told = decode_order(logged.order)
        keys = [shard_key(shard.blob, shard.chunk, shard.index) for shard in told.shards]
        found = [key for key in keys if _is_to_go(store, index.find(key), logged)]
        store.delete(found)
        for pack in store.take_touched():
            pack.sync()
        store.settle()
        findings.redone += len(found)
        if store.fault:
            return
        if not logged.is_settled and not orders.against(told):
            statuses = [Status.OK if key in found else Status.NOT_FOUND for key in keys]
            receipt, signature = make_receipt(store.folder.identity, logged.order, statuses, clock.now_ms())
            orders.settle(Settled.of(told, receipt, signature))


def _is_to_go(store: NodeStore, where: Location | None, logged: Logged) -> bool:
    """After the receipt only what is marked already and the index still knows: a whole record was put since."""
    if where is None or not logged.is_settled:
        return where is not None
    header = read_header(store.packs[where.pack], where.offset)
    return header is None or header.state != LIVE
