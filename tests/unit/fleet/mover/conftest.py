"""A store of real chunks on hosts in memory, for the mover: profile 10+4 on sixteen nodes and more, two hosts."""

from __future__ import annotations

import itertools
import random
import shutil
from bisect import insort
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.clock import ManualClock
from cyxcloud.core.ids import BlobId, NodeId, NodeNumber, PlacementId, ShardId
from cyxcloud.core.profile import Profile
from cyxcloud.core.settings import MoverSettings
from cyxcloud.core.worker import Did
from cyxcloud.meta import blobs, cluster, nodes, placements, profiles, repairs
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import (
    DOWN,
    READ_ONLY,
    UP,
    BlobRow,
    ChunkRow,
    ClusterRow,
    PlacementRow,
    PlacementState,
    RepairRow,
    SegmentRow,
)
from cyxcloud.meta.writer import Writer
from cyxcloud.shards.chunk import EncodedChunk, encode_chunk
from cyxcloud.shards.erasure import CODEC_ID, codec
from cyxcloud.shards.frames import BlobCipher
from cyxcloud.wire.memory import MemoryHost, StoredShard
from cyxcloud.wire.status import Status
from fleet.deletions import Deletions, Signer
from fleet.mover.plane import mover_plane
from fleet.mover.shares import Shares
from fleet.mover.view import read_view
from fleet.mover.worker import Mover
from fleet.storeclock import CoordinatorClock
from tests.unit.fleet.mover.nodes import node

CLUSTER = ClusterRow(b"c" * 16, b"i" * 16, 1, 0)
K, M, WIDTH = 10, 4, 14
GRACE_SECONDS = 60.0
AT_ONCE = MoverSettings(away=1.0, grace=0.0, breaker=3600.0, mib_per_second=1e6)
DEK = bytes(32)


@dataclass(slots=True)
class MoverRig:
    clock: ManualClock
    reader: Connection
    writer: Writer
    hosts: tuple[MemoryHost, MemoryHost]
    store_clock: CoordinatorClock
    signer: Signer
    threads: ThreadPoolExecutor
    encoded: dict[BlobId, EncodedChunk] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1 << 32 | 1))

    # Its parts

    def mover(self, settings: MoverSettings = AT_ONCE, shares: Shares | None = None) -> Mover:
        plane = mover_plane(self.hosts, self.clock, self.threads)
        return Mover(
            plane, self.reader, self.writer, self.store_clock, settings, GRACE_SECONDS, random.Random(1), shares
        )

    async def run(self, mover: Mover, steps: int = 50) -> None:
        """Until it is idle."""
        for _ in range(steps):
            if not isinstance(await mover.step(self.clock.monotonic()), Did):
                return
        raise AssertionError("the mover does not come to rest")

    async def clean(self) -> None:
        """Everything that is due goes."""
        self.clock.advance(GRACE_SECONDS + 1)
        worker = Deletions(self.hosts, self.reader, self.writer, self.store_clock, self.signer)
        while isinstance(await worker.step(self.clock.monotonic()), Did):
            pass

    # Its nodes

    def node_id(self, number: int) -> NodeId:
        return read_view(self.reader).nodes[NodeNumber(number)].node_id

    def host_of(self, number: int) -> MemoryHost:
        return next(host for host in self.hosts if self.node_id(number) in host.identities)

    def set_state(self, number: int, state: str) -> None:
        """What the node watch would write, and how the host answers."""
        row = read_view(self.reader).nodes[NodeNumber(number)]
        host = self.host_of(number)
        host.state.pop(row.node_id, None)
        if state != UP:
            host.state[row.node_id] = Status.FULL if state == READ_ONLY else Status.DOWN
        now_ms = self.store_clock.now_ms()

        def change(conn: Connection) -> None:
            nodes.set_state(conn, row.number, state, since_ms=now_ms)
            cluster.bump(conn, Epoch.TOPOLOGY)

        self.writer.call(change)

    def lose(self, *numbers: int) -> None:
        """Down for longer than `away`, and for good as far as anybody knows."""
        for number in numbers:
            self.set_state(number, DOWN)
        self.clock.advance(AT_ONCE.away + 0.1)

    def retire(self, number: int) -> None:
        def change(conn: Connection) -> None:
            nodes.retire(conn, NodeNumber(number), f"n{number}~{number}", "", self.store_clock.now_ms())
            cluster.bump(conn, Epoch.TOPOLOGY)

        self.writer.call(change)

    def shards(self, number: int) -> dict[ShardId, StoredShard]:
        return self.host_of(number).shards[self.node_id(number)]

    # Its blobs

    def put(self, size: int = 30_000, placement: int = 1) -> BlobId:
        """One chunk on its fourteen nodes, with its rows."""
        blob = BlobId(next(self.numbers))
        made = encode_chunk(BlobCipher(blob, DEK), 0, random.Random(blob).randbytes(size), codec(K, M))
        self.encoded[blob] = made
        for index in range(WIDTH):
            self.place(blob, index, self.members(placement)[index])
        row = BlobRow(blob, 1, size, K, M, CODEC_ID, 1)
        self.writer.call(lambda conn: blobs.insert_chunked(conn, row, [ChunkRow(0, made.root, PlacementId(placement))]))
        return blob

    def put_on(self, *numbers: int, size: int = 30_000) -> BlobId:
        """One chunk in a placement of its own."""
        members = tuple(NodeNumber(each) for each in numbers)
        number = PlacementId(max(read_view(self.reader).placements) + 1)
        row = PlacementRow(number, K, M, members, PlacementState.OPEN, None)
        self.writer.call(lambda conn: placements.add(conn, [row]))
        return self.put(size, number)

    def place(self, blob: BlobId, index: int, number: int) -> None:
        made, shard = self.encoded[blob], ShardId(blob, 0, index)
        stored = StoredShard(bytes(made.payloads[index]), made.block_hashes[index], made.proofs[index])
        if self.shards(number).get(shard) is None:
            self.shards(number)[shard] = stored
            insort(self.host_of(number)._order[self.node_id(number)], shard)

    def hurt(self, blob: BlobId, *indexes: int, listed: bool = True, corrupt: bool = False) -> None:
        """Shards missing or corrupt where they should lie."""
        for index in indexes:
            number, shard = self.nodes_of(blob)[index], ShardId(blob, 0, index)
            hurt = self.host_of(number).corrupt if corrupt else self.host_of(number).drop
            hurt(self.node_id(number), shard)
        if listed:
            rows = [RepairRow(blob, 0, index, "missing", 1) for index in indexes]
            self.writer.call(lambda conn: repairs.add(conn, rows))

    def delete(self, blob: BlobId) -> None:
        gone = SegmentRow(blob, 0, 1, b"", 0, 1, b"")
        due_ms = self.store_clock.now_ms() + int(GRACE_SECONDS * 1000)
        self.writer.call(lambda conn: blobs.release(conn, [gone], due_ms))

    def members(self, placement: int) -> tuple[NodeNumber, ...]:
        return read_view(self.reader).placements[PlacementId(placement)].nodes

    def nodes_of(self, blob: BlobId) -> tuple[NodeNumber, ...]:
        """Where its chunk's row places it."""
        chunk = blobs.chunk_of(self.reader, blob, 0)
        assert chunk is not None
        return self.members(chunk.placement)

    def good(self, blob: BlobId) -> int:
        """Shards that lie, whole, where the row places them."""
        made = self.encoded[blob]
        found = 0
        for index, number in enumerate(self.nodes_of(blob)):
            stored = self.shards(number).get(ShardId(blob, 0, index))
            whole = stored is not None and stored.payload == made.payloads[index]
            found += whole and read_view(self.reader).can_read(number)
        return found

    def copies(self, blob: BlobId) -> int:
        """Shards of it on all nodes together."""
        return sum(shard.blob == blob for host in self.hosts for held in host.shards.values() for shard in held)


@pytest.fixture(scope="session")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


@pytest.fixture
def rig(
    template: Path, tmp_path: Path, threads: ThreadPoolExecutor, request: pytest.FixtureRequest
) -> Iterator[MoverRig]:
    path = tmp_path / "meta" / "meta.db"
    path.parent.mkdir()
    shutil.copy(template, path)
    database, clock, key = Database(path), ManualClock(), Ed25519PrivateKey.generate()
    reader, writer = database.reader(), database.writer()
    writer.start()
    public_key = key.public_key().public_bytes_raw()
    first, second = (
        MemoryHost(
            getattr(request, "param", 10),
            cluster_id=CLUSTER.cluster_id,
            incarnation=CLUSTER.incarnation,
            coordinator_public_key=public_key,
            clock=clock,
        )
        for _ in range(2)
    )
    ids = [*first.identities, *second.identities]

    def make(conn: Connection) -> None:
        cluster.create(conn, CLUSTER)
        profiles.create(conn, Profile(K, M))
        for number, node_id in enumerate(ids, start=1):
            nodes.upsert(conn, replace(node(number), node_id=node_id))
        lists = [tuple(NodeNumber(each) for each in range(at, at + WIDTH)) for at in range(1, 8)]
        placements.add(
            conn,
            [
                PlacementRow(PlacementId(number), K, M, members, PlacementState.OPEN, None)
                for number, members in enumerate(lists, start=1)
            ],
        )

    writer.call(make)
    store_clock = CoordinatorClock(clock, reader, writer)
    yield MoverRig(clock, reader, writer, (first, second), store_clock, Signer(key, CLUSTER), threads)
    writer.close()
    database.close()
