"""What ten thousand nodes that report cost the coordinator: `python -m bench.heartbeats`.

One process takes them as the coordinator does (aiohttp over TLS 1.3 with mutual certificates on uvloop, the flush into
SQLite, the watch over all node rows each second), another plays nodes: kept connections, each heartbeat signed anew.
Printed are CPU time a heartbeat of the whole serving process, its share of one core at the asked rate, how late answers
came, and what the parts cost by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Event
from pathlib import Path

import uvloop
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.micro import best
from cyxcloud.core.certificates import Authority, Role, TlsIdentity
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.identity import NodeIdentity, node_id_of
from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.core.settings import FleetSettings
from cyxcloud.core.worker import Runner
from cyxcloud.meta import cluster, heartbeats, nodes, placements, profiles
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import ClusterRow, NodeRow, PlacementRow, PlacementState
from cyxcloud.wire.fleetpeer import coordinator_context
from cyxcloud.wire.heartbeat import Answer, Heartbeat, Outcome, encode_answer, parse_heartbeat, sign_heartbeat
from fleet.beatroute import HeartbeatRoute
from fleet.heartbeats import Heartbeats
from fleet.nodewatch import NodeWatch
from fleet.remotenodes import RemoteNodes
from fleet.storeclock import CoordinatorClock

CLUSTER = b"c" * 16
AUTHORITY = Authority(bytes(range(32)), CLUSTER)
CLOCK = SystemClock()
WARM_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Load:
    nodes: int
    connections: int
    rate: float
    seconds: float


def node_identity(number: int) -> NodeIdentity:
    key = Ed25519PrivateKey.from_private_bytes(number.to_bytes(32))
    raw = key.public_key().public_bytes_raw()
    return NodeIdentity(node_id_of(raw), raw, key)


def certified(role: Role, key: Ed25519PrivateKey) -> TlsIdentity:
    issued = AUTHORITY.issue(key.public_key().public_bytes_raw(), role, CLOCK.now_ms())
    return TlsIdentity(AUTHORITY.certificate, issued, key)


def heartbeat(identity: NodeIdentity, sequence: int) -> Heartbeat:
    return Heartbeat(
        node_id=identity.node_id,
        timestamp_ms=CLOCK.now_ms(),
        sequence=sequence,
        total_storage_bytes=10**13,
        used_storage_bytes=4 * 10**12,
        free_bytes=6 * 10**12,
        reserve_bytes=4 << 30,
        shard_count=10**7,
        available_bandwidth_bps=800_000_000,
        avg_latency_ms=3.5,
        requests_per_minute=6000,
        cpu_usage_percent=12.5,
        memory_usage_percent=43.0,
        peer_ids=(identity.node_id,) * 8,
        version="0.1.0",
    )


# -- the coordinator's side


def fill(conn: Connection, count: int) -> None:
    cluster.create(conn, ClusterRow(CLUSTER, b"i" * 16, 1, 0))
    for number in range(1, count + 1):
        identity = node_identity(number)
        nodes.upsert(
            conn,
            NodeRow(
                number=NodeNumber(number),
                node_id=identity.node_id,
                name=f"n{number}",
                endpoint="",
                host=f"box{number}",
                disk=f"box{number}",
                zone=f"z{number % 5}",
                operator=f"o{number % 50}",
                state="down",
                reason="",
                total_bytes=0,
                used_bytes=0,
                free_bytes=0,
                shard_count=0,
                seen_at_ms=0,
                joined_at_ms=0,
                public_key=identity.public_key,
            ),
        )
    profiles.create(conn, Profile(10, 4))
    members = tuple(NodeNumber(number) for number in range(1, 15))
    placements.add(conn, [PlacementRow(PlacementId(1), 10, 4, members, PlacementState.OPEN, None)])


async def coordinate(folder: Path, load: Load, told: Pipe, stop: Event) -> None:
    database = Database(folder / "meta.db")
    database.upgrade()
    reader, writer = database.reader(), database.writer()
    writer.start()
    await writer.submit(lambda conn: fill(conn, load.nodes))
    settings = FleetSettings()
    clock = CoordinatorClock(CLOCK, reader, writer)
    beats = Heartbeats(reader, writer, clock, CLOCK, settings)
    watch = NodeWatch((), reader, writer, clock, RemoteNodes(dict, beats, clock, settings))
    app = web.Application()
    app.add_routes(HeartbeatRoute(beats, CLOCK).routes())
    serving = web.AppRunner(app, access_log=None)
    await serving.setup()
    context = certified(Role.COORDINATOR, Ed25519PrivateKey.generate()).server_context(demand_client=False)
    site = web.TCPSite(serving, "127.0.0.1", 0, ssl_context=context, backlog=4096)
    await site.start()
    told.send(serving.addresses[0][1])
    runner = Runner([clock, beats, watch], CLOCK)
    running = asyncio.create_task(runner.run())
    while not stop.is_set():
        if told.poll():
            told.recv()
            told.send(_cpu_seconds())
        await asyncio.sleep(0.02)
    rows = heartbeats.read_all(reader)
    told.send((len(rows), sum(row.sequence for row in rows)))
    runner.stop()
    await running
    await serving.cleanup()
    await asyncio.to_thread(writer.close)
    database.close()


def serve(folder: Path, load: Load, told: Pipe, stop: Event) -> None:
    uvloop.run(coordinate(folder, load, told, stop))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# -- the nodes' side


class Node:
    """HTTP by hand, so that playing nodes costs little beside what is measured."""

    def __init__(self, number: int) -> None:
        self._identity = node_identity(number)
        self._sequence = 0

    async def connect(self, port: int) -> None:
        context = coordinator_context(certified(Role.NODE, self._identity.private_key))
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)

    async def report(self) -> float:
        """The seconds until the answer."""
        self._sequence += 1
        data = sign_heartbeat(self._identity, heartbeat(self._identity, self._sequence))
        began = time.monotonic()
        head = f"POST /v1/heartbeat HTTP/1.1\r\nHost: fleet\r\nContent-Length: {len(data)}\r\n\r\n"
        self._writer.write(head.encode() + data)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        size = next(line for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await self._reader.readexactly(int(size.partition(b":")[2]))
        return time.monotonic() - began

    def close(self) -> None:
        self._writer.transport.abort()


async def drive(reporting: Sequence[Node], rate: float, seconds: float) -> list[float]:
    """At an even pace, whether or not answers are slow; the seconds that each took."""
    tasks = []
    began = time.monotonic()
    for turn in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, began + turn / rate - time.monotonic()))
        tasks.append(asyncio.create_task(reporting[turn % len(reporting)].report()))
    return list(await asyncio.gather(*tasks))


async def measure(load: Load, told: Pipe) -> None:
    port = told.recv()
    numbers = random.Random(1).sample(range(1, load.nodes + 1), load.connections)
    reporting = [Node(number) for number in numbers]
    before = cpu(told)
    for node in reporting:
        await node.connect(port)
    handshakes = cpu(told) - before
    print(f"handshakes: {handshakes / load.connections * 1e6:.0f} us of CPU each, {load.connections} connections")
    await asyncio.sleep(WARM_SECONDS)
    before, began = cpu(told), time.monotonic()
    await asyncio.sleep(load.seconds / 2)
    idle = (cpu(told) - before) / (time.monotonic() - began)
    print(f"without heartbeats: {idle:.1%} of a core (watch over {load.nodes} rows, clock)")
    await drive(reporting, load.rate, WARM_SECONDS)
    before, began = cpu(told), time.monotonic()
    took = sorted(await drive(reporting, load.rate, load.seconds))
    passed = time.monotonic() - began
    share = (cpu(told) - before) / passed
    print(f"{len(took) / passed:.0f} a second for {passed:.0f} s: {share:.1%} of a core")
    print(
        f"CPU a heartbeat: {(share - idle) * passed / len(took) * 1e6:.0f} us, {share * passed / len(took) * 1e6:.0f} us with all"
    )
    print(f"answered in: p50 {statistics.median(took) * 1e3:.1f} ms, p99 {took[len(took) * 99 // 100] * 1e3:.1f} ms")
    for node in reporting:
        node.close()


def cpu(told: Pipe) -> float:
    told.send("cpu")
    seconds: float = told.recv()
    return seconds


def parts() -> None:
    """Best of several rounds, in one process."""
    identity = node_identity(1)
    data = sign_heartbeat(identity, heartbeat(identity, 1))
    signed = parse_heartbeat(data)
    answer = Answer(Outcome.TAKEN, CLOCK.now_ms(), 30_000, "0.1.0")
    works: dict[str, Callable[[], object]] = {
        "sign (the node)": partial(sign_heartbeat, identity, signed.heartbeat),
        "parse": partial(parse_heartbeat, data),
        "check the signature": partial(signed.signed_by, identity.public_key),
        "answer": partial(encode_answer, answer),
    }
    for name, work in works.items():
        print(f"{name:20} {best(work) * 1e6:6.1f} us")
    print(f"{'size':20} {len(data):6} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=10_000, help="rows that are watched")
    parser.add_argument("--connections", type=int, default=1000, help="of them that report here, each oftener")
    parser.add_argument("--rate", type=float, default=333.0, help="heartbeats a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    load = Load(given.nodes, given.connections, given.rate, given.seconds)
    parts()
    ours, theirs = multiprocessing.Pipe()
    stop = multiprocessing.Event()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=Path.cwd()) as scratch:
        process = multiprocessing.Process(target=serve, args=(Path(scratch), load, theirs, stop))
        process.start()
        try:
            uvloop.run(measure(load, ours))
        finally:
            stop.set()
            print("written down: {} nodes, {} heartbeats".format(*ours.recv()))
            process.join()


if __name__ == "__main__":
    main()
