"""A small store's metadata, and hosts in memory, for the coordinator's workers; time stands still until it is moved."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.clock import ManualClock
from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.meta import cluster, nodes, placements, profiles
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import ClusterRow, NodeRow, PlacementRow, PlacementState
from cyxcloud.meta.writer import Writer
from cyxcloud.wire.memory import MemoryHost
from fleet.deletions import Signer
from fleet.storeclock import CoordinatorClock

CLUSTER = ClusterRow(b"c" * 16, b"i" * 16, 1, 0)
K, M, NODES = 2, 1, 4


@dataclass(slots=True)
class Fleet:
    """Four nodes on two hosts, profile 2+1, one placement on nodes 1 to 3."""

    clock: ManualClock
    reader: Connection
    writer: Writer
    hosts: tuple[MemoryHost, MemoryHost]
    rows: list[NodeRow]
    store_clock: CoordinatorClock
    signer: Signer

    def states(self) -> list[str]:
        return [row.state for row in nodes.read_all(self.reader)]

    def host_of(self, number: int) -> MemoryHost:
        return self.hosts[(number - 1) // 2]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    database = Database(tmp_path_factory.mktemp("template") / "meta.db")
    database.upgrade()
    database.close()
    return database.path


@pytest.fixture
def fleet(template: Path, tmp_path: Path) -> Iterator[Fleet]:
    path = tmp_path / "meta" / "meta.db"
    path.parent.mkdir()
    shutil.copy(template, path)
    database, clock, key = Database(path), ManualClock(), Ed25519PrivateKey.generate()
    reader, writer = database.reader(), database.writer()
    writer.start()
    first, second = (
        MemoryHost(
            NODES // 2,
            cluster_id=CLUSTER.cluster_id,
            incarnation=CLUSTER.incarnation,
            coordinator_public_key=key.public_key().public_bytes_raw(),
            clock=clock,
        )
        for _ in range(2)
    )
    rows = [
        NodeRow(
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
        for number, node_id in enumerate([*first.identities, *second.identities], start=1)
    ]

    def make(conn: Connection) -> None:
        cluster.create(conn, CLUSTER)
        profiles.create(conn, Profile(K, M))
        for row in rows:
            nodes.upsert(conn, row)
        members = tuple(row.number for row in rows[: K + M])
        placements.add(conn, [PlacementRow(PlacementId(1), K, M, members, PlacementState.OPEN, None)])

    writer.call(make)
    store_clock = CoordinatorClock(clock, reader, writer)
    yield Fleet(clock, reader, writer, (first, second), rows, store_clock, Signer(key, CLUSTER))
    writer.close()
    database.close()
