"""What TLS costs against Unix sockets, in CPU of both sides: `python -m bench.tls`.

A process serves nodes as a node host and as a node on another box do, this one puts and gets the shards of one object at
a time, several objects at once. On one box a host gets all 14 shards in one message; in a fleet 14 nodes get one each,
over 14 connections, so both are measured over Unix sockets: the difference between the second and TLS is TLS itself
(records, encryption, tickets), that between the first and the second is the fleet's shape. Nothing is lent or shared.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import resource
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core import merkle
from cyxcloud.core.certificates import Authority, Role, TlsIdentity
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.ids import BlobId, NodeId
from cyxcloud.shards.chunk import encode_chunk
from cyxcloud.shards.erasure import codec
from cyxcloud.shards.frames import BlobCipher
from cyxcloud.wire.client import Hello, HostClient
from cyxcloud.wire.endpoint import RemoteEndpoint
from cyxcloud.wire.shardhost import GetBatch, PutBatch
from cyxcloud.wire.status import Status
from nodefs.app import NodeHost
from nodefs.evidence import EvidenceLog
from nodefs.folder import open_folder
from nodefs.health import Limits
from nodefs.host import ShardServer
from nodefs.provision import create_node
from nodefs.rack import Rack
from nodefs.threads import ReadThreads
from nodefs.throttle import Line
from nodefs.tls import Doorman, listen

CLUSTER, INCARNATION = b"c" * 16, b"i" * 16
AUTHORITY = Authority(bytes(range(32)), CLUSTER)
COORDINATOR = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
CLOCK = SystemClock()
SHARDS, DATA = 14, 10
AT_ONCE = 4
SIZES = {64 << 10: 400, 1 << 20: 120, 4 << 20: 40}  # objects of each size


def identity(role: Role, key: Ed25519PrivateKey) -> TlsIdentity:
    public = key.public_key().public_bytes_raw()
    return TlsIdentity(AUTHORITY.certificate, AUTHORITY.issue(public, role, CLOCK.now_ms()), key)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# -- the serving process


def serve(pipe: Pipe, scratch: Path) -> None:
    uvloop.run(_serve(pipe, scratch))


async def _serve(pipe: Pipe, scratch: Path) -> None:
    folders = [scratch / f"n{number}" for number in range(SHARDS)]
    far = scratch / "far"
    for folder in (*folders, far):
        create_node(folder, folder.name, CLUSTER, INCARNATION, COORDINATOR)
    host = asyncio.create_task(NodeHost(folders, scratch / "sock").run())
    rack, threads = Rack(CLOCK, Limits(), scrub_seconds=1e9), ReadThreads(8)
    await rack.open_all([far])
    shown = identity(Role.NODE, open_folder(far).identity.private_key)
    doorman = Doorman(CLUSTER, EvidenceLog(None, CLOCK, threads))
    server = ShardServer(rack, CLOCK, threads)
    listening = await listen("127.0.0.1:0", server, doorman, lambda: shown, Line.of(0, 0, CLOCK))
    pipe.send((listening.sockets[0].getsockname()[1], shown.node_id))
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, pipe.recv):
        pipe.send(cpu_seconds())
    host.cancel()


# -- this process


@dataclass(frozen=True, slots=True)
class Shape:
    """`parts`: for each message of an object the client, its shards' indexes and its nodes."""

    name: str
    parts: Callable[[int], Sequence[tuple[HostClient, Sequence[int], Sequence[NodeId]]]]


@dataclass(frozen=True, slots=True)
class Body:
    payloads: list[bytes]
    hashes: list[bytes]
    proofs: list[bytes]

    @classmethod
    def of(cls, size: int) -> Body:
        made = encode_chunk(BlobCipher(BlobId(1 << 32), bytes(32)), 0, bytes(size), codec(DATA, SHARDS - DATA))
        payloads = [bytes(each) for each in made.payloads]
        leaves = [merkle.block_hashes(each) for each in payloads]
        _, proofs = merkle.chunk_root_and_proofs([merkle.tree_root(leaf) for leaf in leaves])
        return cls(payloads, [b"".join(leaf) for leaf in leaves], proofs)


async def put(shape: Shape, body: Body, blob: BlobId) -> None:
    async def one(client: HostClient, indexes: Sequence[int], nodes: Sequence[NodeId]) -> None:
        batch = PutBatch(
            blob,
            0,
            SHARDS,
            len(body.payloads[0]),
            indexes,
            nodes,
            [body.hashes[at] for at in indexes],
            [body.proofs[at] for at in indexes],
            [body.payloads[at] for at in indexes],
        )
        assert set((await client.put(batch)).values()) == {Status.OK}

    await asyncio.gather(*(one(*part) for part in shape.parts(SHARDS)))


async def get(shape: Shape, body: Body, blob: BlobId) -> None:
    async def one(client: HostClient, indexes: Sequence[int], nodes: Sequence[NodeId]) -> None:
        answer = await client.get(GetBatch(blob, 0, indexes, nodes))
        assert len(answer.payload) == len(indexes) * len(body.payloads[0])

    await asyncio.gather(*(one(*part) for part in shape.parts(DATA)))


class Meter:
    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def read(self) -> tuple[float, float]:
        """CPU seconds of this process and of the serving one."""
        self._pipe.send(True)
        return cpu_seconds(), self._pipe.recv()


Work = Callable[[Shape, Body, BlobId], Coroutine[object, object, None]]


async def measure(meter: Meter, shape: Shape, size: int, work: Work, blobs: Sequence[int]) -> None:
    body, waiting = Body.of(size), iter(blobs)

    async def some() -> None:
        for blob in waiting:
            await work(shape, body, BlobId(blob))

    here, there = meter.read()
    began = CLOCK.monotonic()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    took = CLOCK.monotonic() - began
    after = meter.read()
    count, mib = len(blobs), size / (1 << 20)
    ours, theirs = (1e3 * (after[0] - here) / count, 1e3 * (after[1] - there) / count)
    print(
        f"{work.__name__} {size >> 10:>5} KiB  {shape.name:<24}"
        f"{ours:8.3f} +{theirs:7.3f} = {ours + theirs:7.3f} ms CPU an object"
        f"{(ours + theirs) / mib:9.3f} ms a MiB{count * mib / took:9.0f} MiB/s",
        flush=True,
    )


async def compare(pipe: Pipe, scratch: Path) -> None:
    port, far = pipe.recv()
    hello = Hello("gateway", CLUSTER, INCARNATION)
    near = HostClient(scratch / "sock", hello)
    several = [HostClient(scratch / "sock", hello) for _ in range(SHARDS)]
    shown = identity(Role.GATEWAY, Ed25519PrivateKey.generate())
    remote = [HostClient(RemoteEndpoint(f"127.0.0.1:{port}", far, lambda: shown), hello) for _ in range(SHARDS)]
    clients = (near, *several, *remote)
    for client in clients:
        await client.start(20.0)
    nodes = sorted(near.nodes)
    shapes = (
        Shape("Unix, one message", lambda count: [(near, range(count), nodes[:count])]),
        Shape("Unix, one for each node", lambda count: [(several[at], [at], [nodes[at]]) for at in range(count)]),
        Shape("TLS, one for each node", lambda count: [(remote[at], [at], [far]) for at in range(count)]),
    )
    meter, numbers = Meter(pipe), itertools.count(1 << 32)
    written: dict[str, list[int]] = {}
    for size, count in SIZES.items():
        for work in (put, get):
            for shape in shapes:
                blobs = list(itertools.islice(numbers, count)) if work is put else written[shape.name]
                await measure(meter, shape, size, work, blobs)
                if work is put:
                    written[shape.name] = blobs
    for client in clients:
        await client.close()
    pipe.send(False)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=".") as folder:
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        serving = context.Process(target=serve, args=(theirs, Path(folder).absolute()))
        serving.start()
        uvloop.run(compare(ours, Path(folder).absolute()))
        serving.join()


if __name__ == "__main__":
    main()
