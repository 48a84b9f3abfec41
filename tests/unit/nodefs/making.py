"""Nodes, shards and stores for tests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.clock import ManualClock
from cyxcloud.core.durable import Disk, SystemDisk
from cyxcloud.core.ids import BlobId, NodeId, ShardId
from cyxcloud.core.merkle import block_hashes, chunk_root_and_proofs, tree_root
from cyxcloud.wire.orders import Order, decode_order, encode_order, sign_order
from cyxcloud.wire.shardhost import PutBatch
from cyxcloud.wire.status import Status
from nodefs.bulk import BulkReader
from nodefs.commit import DeleteJob, PutJob, TaskJob, commit_round
from nodefs.folder import open_folder
from nodefs.provision import create_node
from nodefs.quarantine import mend
from nodefs.recovery import Findings, open_store
from nodefs.scrub import Scrubber
from nodefs.space import DiskSpace
from nodefs.store import NodeStore, PutItem
from nodefs.syncing import Syncer

CLUSTER = b"cluster-16-bytes"
INCARNATION = b"incarnation-one!"
COORDINATOR = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
COORDINATOR_PUBLIC = COORDINATOR.public_key().public_bytes_raw()


class UnsyncedDisk(SystemDisk):
    """For what a test only needs to be there: no test of ours cuts the power."""

    def fsync(self, fd: int) -> None:
        pass

    def fdatasync(self, fd: int) -> None:
        pass

    def syncfs(self, fd: int) -> None:
        pass


UNSYNCED = UnsyncedDisk()


@dataclass(frozen=True, slots=True)
class Pieces:
    payloads: list[bytes]
    hashes: list[bytes]
    proofs: list[bytes]


def pieces(size: int, count: int = 14, seed: int = 1) -> Pieces:
    payloads = [random.Random(seed * 1000 + at).randbytes(size) for at in range(count)]
    leaves = [block_hashes(payload) for payload in payloads]
    _, proofs = chunk_root_and_proofs([tree_root(leaf) for leaf in leaves])
    return Pieces(payloads, [b"".join(leaf) for leaf in leaves], proofs)


def batch(made: Pieces, nodes: Sequence[NodeId], blob: int, chunk: int = 0, *, verify: bool = False) -> PutBatch:
    count = len(nodes)
    return PutBatch(
        blob=BlobId(blob),
        chunk=chunk,
        total=14,
        shard_size=len(made.payloads[0]),
        indexes=range(count),
        nodes=nodes,
        block_hashes=made.hashes[:count],
        proofs=made.proofs[:count],
        payloads=made.payloads[:count],
        verify=verify,
    )


def signed_order(node: NodeId, shards: Sequence[ShardId], now_ms: int, **changes: object) -> tuple[bytes, bytes]:
    fields = {
        "cluster_id": CLUSTER,
        "incarnation": INCARNATION,
        "node_id": node,
        "shards": tuple(shards),
        "issued_at_ms": now_ms,
        "expires_at_ms": now_ms + 60_000,
        "sequence": 1,
    }
    order = encode_order(Order(**{**fields, **changes}))  # type: ignore[arg-type]
    return order, sign_order(COORDINATOR, order)


class OneNode:
    """A store driven round by round, without threads; opened again as after a crash by reopen()."""

    def __init__(self, path: Path, disk: Disk = UNSYNCED, *, capacity_bytes: int = 0) -> None:
        self.path = path
        self.disk = disk
        self.clock = ManualClock()
        self.sequence = 0  # of the last order
        if not path.exists():
            create_node(
                path, "one", CLUSTER, INCARNATION, COORDINATOR_PUBLIC, capacity_bytes=capacity_bytes, disk=UNSYNCED
            )
        self.store: NodeStore
        self.findings: Findings
        self.open()

    @property
    def pack(self) -> Path:
        return max(self.store.folder.packs.glob("*.pack"))

    def open(self) -> None:
        self.space = DiskSpace(self.path, self.clock, self.disk)
        self.store, self.findings = open_store(open_folder(self.path), self.space, self.clock, self.disk)

    def reopen(self) -> None:
        """As after kill -9: nothing is flushed, the descriptors just go."""
        self.abandon()
        self.open()

    def abandon(self) -> None:
        self.store.index.close()
        self.store.orders.close()
        for pack in self.store.packs.values():
            pack.close()

    def put(self, made: Pieces, blob: int, chunk: int = 0, count: int = 1, *, verify: bool = False) -> list[Status]:
        """Shard 0, 1, ... of this chunk, all on this node."""
        wanted = batch(made, [self.store.node_id] * count, blob, chunk, verify=verify)
        job = PutJob([(self.store, PutItem(wanted, at)) for at in range(count)], 0, lambda _: None)
        self.round([job])
        return [item.status for _, item in job.items]

    def delete(self, *shards: ShardId) -> DeleteJob:
        self.sequence += 1
        order, signature = signed_order(self.store.node_id, shards, self.clock.now_ms(), sequence=self.sequence)
        return self.carry_out(order, signature)

    def carry_out(self, order: bytes, signature: bytes) -> DeleteJob:
        job = DeleteJob(self.store, decode_order(order), order, signature, lambda _: None)
        self.round([job])
        return job

    def scrub(self) -> int:
        """A whole pass, and what it met looked at by the commit thread; gives how many records were set aside."""
        scrubber, reader = Scrubber(self.store, 1.0, self.clock), BulkReader(self.disk)
        scrubber.begin_pass()
        while scrubber.progress().running:
            scrubber.slice(reader)
        return self.mend()

    def mend(self) -> int:
        set_aside = 0

        def run() -> None:
            nonlocal set_aside
            set_aside = mend(self.store, self.disk)

        self.round([TaskJob(self.store, run, lambda _: None)])
        return set_aside

    def found(self) -> list[ShardId]:
        return self.store.findings.page(0, 1000)[0]

    def round(self, jobs: Sequence[PutJob | DeleteJob | TaskJob]) -> None:
        syncs = Syncer(self.disk)
        syncs.start()
        try:
            commit_round(list(jobs), self.space, syncs, self.clock)
        finally:
            syncs.stop()

    def read(self, blob: int, chunk: int = 0, index: int = 0) -> bytes | Status:
        found = self.store.read(blob, chunk, index, 0, 0)
        return found if isinstance(found, Status) else bytes(found.payload)
