"""A store of sixteen nodes in memory with a real database, for snapshots: change it, snapshot it, lose it, restore it."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.ids import BlobId, NodeId, NodeNumber, PlacementId, ShardId
from cyxcloud.core.keybundle import WrappingKeys
from cyxcloud.core.profile import Profile
from cyxcloud.meta import blobs, cluster, nodes, placements, profiles
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import ClusterRow, NodeRow, PlacementRow, PlacementState
from cyxcloud.meta.snapshot_manifest import Manifest
from cyxcloud.meta.writer import Writer
from cyxcloud.objects.at_rest import RestingShard, Unreadable
from cyxcloud.objects.snapshot_restore import newest_first, read_manifest, restore_database
from cyxcloud.objects.wrapping import Wrapping
from cyxcloud.wire.memory import MemoryHost
from cyxcloud.wire.shardhost import ShardHost
from fleet.objectstore import ObjectStore
from fleet.snapshot_taking import SnapshotTaker, Taken
from fleet.storeclock import CoordinatorClock

CLUSTER = ClusterRow(b"c" * 16, b"i" * 16, 1, 0)
MASTER = b"m" * 32
_KEYS = WrappingKeys.generate()
WRAPPING = Wrapping(lambda: _KEYS)
K, M, NODES = 10, 4, 16


@dataclass(slots=True)
class Nodes:
    """What lies on the nodes, as one finds it when nothing runs; without those that are missing."""

    hosts: list[MemoryHost]
    missing: set[NodeId] = field(default_factory=set)

    def find(self, shard: ShardId) -> Iterator[RestingShard]:
        for host in self.hosts:
            for node, shards in host.shards.items():
                if node not in self.missing and shard in shards:
                    found = shards[shard]
                    yield RestingShard(found.hashes, found.proof, memoryview(found.payload))

    def pointers(self) -> list[bytes]:
        return [data for host in self.hosts for node, data in host.pointers.items() if node not in self.missing]

    def restore(self, path: Path) -> Manifest:
        """From the newest pointer that leads to a whole snapshot."""
        path.unlink(missing_ok=True)
        for pointer in newest_first(self.pointers(), MASTER, CLUSTER.cluster_id):
            try:
                manifest = read_manifest(self, pointer, MASTER)
                restore_database(self, manifest, MASTER, path)
            except Unreadable:
                path.unlink(missing_ok=True)
                continue
            return manifest
        raise AssertionError("no snapshot can be restored")


@dataclass(slots=True)
class Rig:
    database: Database
    writer: Writer
    hosts: list[MemoryHost]
    snapshot_store: ObjectStore
    rng: random.Random
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def path(self) -> Path:
        return self.database.path

    @property
    def nodes(self) -> Nodes:
        return Nodes(self.hosts)

    def node_ids(self) -> list[NodeId]:
        return [node for host in self.hosts for node in host.identities]

    async def taker(self) -> SnapshotTaker:
        store = await self.snapshot_store.ready()
        return SnapshotTaker(store, self.writer, self.hosts, CLUSTER, MASTER, self.gate)

    async def take(self) -> Taken:
        return await (await self.taker()).take()

    async def fill(self, rows: int, first: int = 1) -> None:
        """Small bodies: rows of about 1 KiB."""
        bodies = [(BlobId(first + at), self.rng.randbytes(1000)) for at in range(rows)]

        def insert(conn: Connection) -> None:
            for blob, body in bodies:
                blobs.insert_inline(conn, blob, body)

        await self.writer.submit(insert, is_long=True)

    async def empty(self, rows: int, first: int = 1) -> None:
        """Takes rows away again; their pages are free, the file does not shrink."""
        await self.writer.submit(
            lambda conn: conn.script(f"DELETE FROM inline WHERE blob >= {first} AND blob < {first + rows}")
        )

    async def compact(self) -> None:
        """The file gets shorter; nobody else writes meanwhile."""
        await asyncio.to_thread(self._vacuum)

    def _vacuum(self) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as driver:
            driver.execute("PRAGMA wal_autocheckpoint=0")
            driver.execute("VACUUM")

    def bodies(self, path: Path) -> dict[int, bytes]:
        """The rows in a copy of the database."""
        found = Database(path)
        try:
            assert found.problems() == []
            return dict(found.reader().driver.execute("SELECT blob, body FROM inline").fetchall())
        finally:
            found.close()


def snapshot_store_of(
    hosts: Sequence[ShardHost], reader: Connection, writer: Writer, clock: Clock | None = None
) -> ObjectStore:
    clock = clock or SystemClock()
    return ObjectStore(
        role="snapshot",
        hosts=hosts,
        reader=reader,
        writer=writer,
        clock=CoordinatorClock(clock, reader, writer),
        monotonic=clock,
        wrapping=WRAPPING,
        delete_grace_seconds=3600.0,
        inline_bytes=0,
    )


@contextmanager
def rig(template: Path, folder: Path, seed: int = 1, clock: Clock | None = None) -> Iterator[Rig]:
    path = folder / "meta" / "meta.db"
    path.parent.mkdir(parents=True)
    shutil.copy(template, path)
    hosts = [MemoryHost(NODES // 2, cluster_id=CLUSTER.cluster_id, incarnation=CLUSTER.incarnation) for _ in range(2)]
    database = Database(path)
    writer = database.writer()
    writer.start()
    writer.call(lambda conn: _make(conn, [node for host in hosts for node in host.identities]))
    reader = database.reader()
    store = snapshot_store_of(hosts, reader, writer, clock)
    try:
        yield Rig(database, writer, hosts, store, random.Random(seed))
    finally:
        store.close()
        writer.close()
        database.close()


def _make(conn: Connection, ids: list[NodeId]) -> None:
    cluster.create(conn, CLUSTER)
    profiles.create(conn, Profile(K, M))
    for number, node_id in enumerate(ids, start=1):
        nodes.upsert(conn, _node(number, node_id))
    lists = [tuple(NodeNumber(1 + (first + at) % NODES) for at in range(K + M)) for first in range(NODES)]
    placements.add(
        conn,
        [
            PlacementRow(PlacementId(number), K, M, members, PlacementState.OPEN, None)
            for number, members in enumerate(lists, start=1)
        ],
    )


def _node(number: int, node_id: NodeId) -> NodeRow:
    return NodeRow(
        number=NodeNumber(number),
        node_id=node_id,
        name=f"n{number}",
        endpoint="",
        host="local",
        disk="d",
        zone="",
        operator="",
        state="up",
        reason="",
        total_bytes=0,
        used_bytes=0,
        free_bytes=0,
        shard_count=0,
        seen_at_ms=0,
        joined_at_ms=0,
    )
