"""Takes one snapshot of the metadata: freeze, hash, write what changed, manifest, pointers, then give up what is old.

Order and crashes: groups and manifest are durable and committed before any pointer names them; the pointer stands on as
many nodes as a chunk must before the state file says so; older blobs are given up only then. So at every instant the
newest pointer with enough nodes leads to whole data. What an attempt that failed has written is given up at once where
no pointer can name it, else by the next snapshot that succeeds; a crash leaves it to that one too.
The file is frozen by a *complete* checkpoint and by holding further ones off: a partial one leaves pages of several
commits beside each other. Writes go on into the WAL meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from cyxcloud.core.durable import DISK, Disk, write_file
from cyxcloud.core.ids import NodeId
from cyxcloud.meta import cluster, nodes
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.rows import ClusterRow
from cyxcloud.meta.snapshot_manifest import (
    GROUP_BYTES,
    Group,
    Manifest,
    ManifestDamaged,
    Summary,
    content_hash,
)
from cyxcloud.meta.snapshot_plan import SnapshotPlan, plan_snapshot
from cyxcloud.meta.snapshot_pointer import Pointer, write_pointer
from cyxcloud.meta.system import ensure_snapshot_bucket
from cyxcloud.meta.writer import Writer
from cyxcloud.objects.store import Store
from cyxcloud.shards.placement import write_quorum
from cyxcloud.wire.shardhost import ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable, WireError
from fleet import snapshot_objects as objects
from fleet.snapshot_file import BytesBody, FileChanged, GroupsBody, Scan, scan
from fleet.snapshot_objects import StoredBlob

log = structlog.get_logger(__name__)

STATE_NAME = "snapshot.state"
# 256 MiB a blob: small enough to be rewritten in a moment when little of it is live.
BLOB_GROUPS = 4096
# Readers of a moment ago keep a checkpoint from completing; each try waits for them a tenth of a second, and so do all
# writers. Who reads for long is waited for with growing pauses, half a minute in all.
FREEZE_TRIES = 30
FREEZE_PAUSES_SECONDS = (0.05, 1.0)  # the first and the longest
POINTER_SECONDS = 10.0
# Nodes in these states will not come back with a pointer.
_LOST = frozenset({"lost", "gone"})


class NotFrozen(Exception):
    """No checkpoint was complete: something reads the database for long."""


class PointerQuorumLost(Exception):
    """Too few nodes took the pointer; the snapshot before stays the newest."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One snapshot that stands on the nodes."""

    summary: Summary
    is_full: bool
    written_groups: int
    manifest_bytes: int

    @property
    def written_bytes(self) -> int:
        """Of plaintext; on the nodes it is (k + m) / k of that."""
        return self.written_groups * GROUP_BYTES + self.manifest_bytes


@dataclass(frozen=True, slots=True)
class SnapshotTaker:
    """`gate` is held by whoever checkpoints."""

    store: Store
    writer: Writer
    hosts: Sequence[ShardHost]
    cluster: ClusterRow
    master: bytes
    gate: asyncio.Lock
    disk: Disk = DISK
    freeze_tries: int = FREEZE_TRIES

    @property
    def state_path(self) -> Path:
        return self.writer.path.with_name(STATE_NAME)

    async def take(self) -> Taken:
        store = self.store
        now_ms = store.clock.now_ms()
        await store.change(lambda conn: ensure_snapshot_bucket(conn, now_ms))
        before = await asyncio.to_thread(self._before)
        if before is not None and not all(objects.is_there(store, each) for each in before.blobs):
            before = None
        sequence = await store.change(lambda conn: cluster.bump(conn, Epoch.SNAPSHOT))
        written: list[StoredBlob] = []
        try:
            manifest, groups = await self._write(sequence, before, written)
            encoded = manifest.encode()
            leading = await objects.write(store, self.master, objects.manifest_key(sequence), BytesBody(encoded))
            written.append(leading)
            pointer = self._pointer(manifest.summary, leading)
        except BaseException:
            await self._give_up(written)
            raise
        await self._publish(pointer, leading)
        await asyncio.to_thread(write_file, self.state_path, encoded, mode=0o600, disk=self.disk)
        await objects.give_up_all_but(store, {each.key for each in manifest.blobs} | {leading.entry.key})
        return Taken(manifest.summary, before is None, groups, len(encoded))

    def _before(self) -> Manifest | None:
        """The snapshot to build on: the last one of this very database, None for a full one."""
        try:
            found = Manifest.decode(self.state_path.read_bytes())
        except FileNotFoundError:
            return None
        except ManifestDamaged as error:
            log.warning("a full snapshot is taken", reason=str(error))
            return None
        of = found.summary
        return found if (of.cluster_id, of.incarnation) == (self.cluster.cluster_id, self.cluster.incarnation) else None

    async def _write(self, sequence: int, before: Manifest | None, written: list[StoredBlob]) -> tuple[Manifest, int]:
        """The groups that changed, as objects, while the file is frozen; the manifest of it all. Adds to `written`."""
        if before is not None and before.summary.sequence >= sequence:
            before = None  # the state file is of a later day than the database
        async with self.gate:
            taken_at_ms = self.store.clock.now_ms()
            await self._freeze()
            scanned = await asyncio.to_thread(scan, self.writer.main_file)
            plan = plan_snapshot(before, scanned.hashes)
            for part, first in enumerate(range(0, len(plan.written), BLOB_GROUPS)):
                numbers = plan.written[first : first + BLOB_GROUPS]
                body = GroupsBody(self.writer.main_file, scanned, numbers)
                key = objects.delta_key(sequence, part)
                written.append(await objects.write(self.store, self.master, key, body))
            if (await asyncio.to_thread(self.writer.path.stat)).st_size != scanned.size:
                raise FileChanged("the database file grew while a snapshot was taken")
        return self._manifest(sequence, taken_at_ms, scanned, plan, written), len(plan.written)

    async def _freeze(self) -> None:
        pause, longest = FREEZE_PAUSES_SECONDS
        for _ in range(self.freeze_tries):
            if (await asyncio.to_thread(self.writer.checkpoint, truncate=True)).complete:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)
        raise NotFrozen("something reads the database without a pause; the snapshot is tried again later")

    def _manifest(
        self, sequence: int, taken_at_ms: int, scanned: Scan, plan: SnapshotPlan, written: Sequence[StoredBlob]
    ) -> Manifest:
        first = len(plan.kept)
        fresh = {
            number: Group(first + at // BLOB_GROUPS, at % BLOB_GROUPS, scanned.hashes[number])
            for at, number in enumerate(plan.written)
        }
        summary = Summary(
            cluster_id=self.cluster.cluster_id,
            incarnation=self.cluster.incarnation,
            sequence=sequence,
            taken_at_ms=taken_at_ms,
            database_bytes=scanned.size,
            page_bytes=scanned.page_bytes,
            content_hash=content_hash(scanned.hashes),
        )
        groups = tuple(place or fresh[number] for number, place in enumerate(plan.places))
        return Manifest(summary, (*plan.kept, *(each.entry for each in written)), groups)

    def _pointer(self, summary: Summary, leading: StoredBlob) -> bytes:
        entry = leading.entry
        pointer = Pointer(
            cluster_id=summary.cluster_id,
            incarnation=summary.incarnation,
            sequence=summary.sequence,
            taken_at_ms=summary.taken_at_ms,
            blob=entry.blob,
            size=entry.size,
            k=entry.k,
            m=entry.m,
            codec=entry.codec,
            wrapped_dek=entry.wrapped_dek,
            chunks=leading.chunks,
        )
        return write_pointer(pointer, self.master)

    async def _publish(self, pointer: bytes, leading: StoredBlob) -> None:
        """On every node that can be reached, and on as many as would have to hold a chunk."""
        known = {row.node_id for row in nodes.read_all(self.store.reader) if row.state not in _LOST}
        there = [(host, node) for host in self.hosts for node in host.nodes if node in known]
        taken = sum(await asyncio.gather(*(_put(host, node, pointer) for host, node in there)))
        wanted = min(len(known), write_quorum(leading.entry.k, leading.entry.m))
        if taken < wanted:
            raise PointerQuorumLost(f"{taken} nodes took the snapshot's pointer, {wanted} have to")

    async def _give_up(self, written: Sequence[StoredBlob]) -> None:
        """Best effort: what stays is given up by the next snapshot that succeeds."""
        try:
            await objects.give_up(self.store, {each.entry.key for each in written})
        except Exception as error:  # noqa: BLE001 - the first failure is the one to be told
            log.warning("left for the next snapshot to give up", reason=str(error))


async def _put(host: ShardHost, node: NodeId, pointer: bytes) -> bool:
    try:
        async with asyncio.timeout(POINTER_SECONDS):
            await host.put_pointer(node, pointer)
    except (HostUnavailable, HostRefused, WireError, TimeoutError) as error:
        log.warning("node took no snapshot pointer", node=node.hex(), reason=str(error))
        return False
    return True
