"""A fleet for tests: a store that has no nodes of its own, and node processes on loopback addresses of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.home import Home
from cli.node_tokens import fleet_url, make_token
from cli.store import open_existing
from cyxcloud.core.clock import SystemClock
from cyxcloud.wire.joining import JoinToken
from nodefs.joining import Wish, join
from tests.cluster.running import PROGRAM, Running, kill, until

# Silence is noticed and made good at once, so that a test need not wait for what people would.
AT_ONCE: Mapping[str, object] = {
    "nodes": 0,
    "fleet__listen": "127.0.0.1:0",
    "fleet__offline_after": "5s",
    "fleet__vetting": "false",
    "mover__away": "1s",
    "mover__grace": "1s",
    "mover__breaker": "2s",
    "mover__rebalance_least_mib": "0",
    "mover__mib_per_second": "200",
    "mover__node_mib_per_second": "200",
}


def free_address(host: str) -> str:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"


@dataclass(slots=True)
class NodeProcess:
    number: int
    root: Path
    address: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"n{self.number:02}"

    def start(self) -> None:
        with self.root.with_suffix(".out").open("wb") as output:
            self.process = subprocess.Popen(
                [str(PROGRAM), "node", "run", "--root", str(self.root)], stdout=output, stderr=subprocess.STDOUT
            )

    def said(self) -> str:
        return self.root.with_suffix(".out").read_text()

    def kill(self) -> None:
        assert self.process is not None
        kill(self.process.pid)
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(20) == 0, self.said()


@dataclass(slots=True)
class Fleet:
    store: Running
    nodes: dict[int, NodeProcess] = field(default_factory=dict)

    def add(self, *numbers: int, zones: int = 5) -> None:
        """Each joins with a token of its own and serves at 127.NUMBER.0.1, so each in a network of its own."""
        home = Home.of([self.store.data])
        made = []
        for number in numbers:
            with open_existing(home) as store:
                token = make_token(store, SystemClock().now_ms(), 3600)
            root = self.store.data.parent / f"n{number:02}"
            node = NodeProcess(number, root, free_address(f"127.{number}.0.1"))
            wish = Wish(
                root=root,
                token=JoinToken.parse(token),
                url=fleet_url(home),
                listen=node.address,
                name=node.name,
                capacity_bytes=10**9,
                zone=f"z{number % zones}",
                operator=f"o{number}",
            )
            asyncio.run(join(wish, SystemClock()))
            node.start()
            made.append(node)
            self.nodes[number] = node
        for node in made:
            until(lambda node=node: "Ready." in node.said(), f"{node.name} serves", 180)  # type: ignore[misc]
        names = {node.name for node in made}
        until(lambda: names <= {name for name, state in self.states().items() if state == "up"}, "all are up", 120)

    def states(self) -> dict[str, str]:
        return dict(self.store.rows("SELECT name, state FROM node"))

    def pool(self) -> int:
        return int(self.store.rows("SELECT count(*) FROM placement WHERE state = 1")[0][0])

    def missing(self) -> int:
        """Chunks that do not lie on nodes which are up, all shards of them."""
        rows: list[tuple[Any, ...]] = self.store.rows("SELECT number, state FROM node")
        up = {number for number, state in rows if state in {"up", "read-only"}}
        placed = self.store.rows(
            "SELECT p.nodes, count(*) FROM chunk c JOIN placement p ON p.id = c.placement GROUP BY p.id"
        )
        return sum(count for packed, count in placed if not set(_numbers(packed)) <= up)

    def held(self, number: int) -> int:
        """Chunks with a shard placed on this node."""
        at = self.store.rows("SELECT number FROM node WHERE name = ?", f"n{number:02}")[0][0]
        placed = self.store.rows(
            "SELECT p.nodes, count(*) FROM chunk c JOIN placement p ON p.id = c.placement GROUP BY p.id"
        )
        return sum(count for packed, count in placed if at in _numbers(packed))

    def end(self) -> None:
        for node in self.nodes.values():
            if node.process is not None and node.process.poll() is None:
                node.kill()


def _numbers(packed: bytes) -> list[int]:
    return [int.from_bytes(packed[at : at + 2], "big") for at in range(0, len(packed), 2)]
