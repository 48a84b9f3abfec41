"""Nodes that nobody can dial, as behind NAT: they dial, and objects are stored on them and read from them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from cli.home import Home
from cli.node_tokens import fleet_url, make_token
from cli.store import open_existing
from cyxcloud.core.clock import SystemClock
from cyxcloud.wire.joining import JoinToken
from nodefs.joining import Wish, join
from tests.cluster.conftest import running
from tests.cluster.fleet import AT_ONCE, Fleet, NodeProcess
from tests.cluster.running import until


def add_dialling(fleet: Fleet, *numbers: int) -> None:
    home = Home.of([fleet.store.data])
    for number in numbers:
        with open_existing(home) as store:
            token = make_token(store, SystemClock().now_ms(), 3600)
        node = NodeProcess(number, fleet.store.data.parent / f"n{number:02}", "")
        wish = Wish(
            root=node.root,
            token=JoinToken.parse(token),
            url=fleet_url(home),
            listen="",
            name=node.name,
            capacity_bytes=10**9,
            operator=f"o{number}",
        )
        asyncio.run(join(wish, SystemClock()))
        node.start()
        fleet.nodes[number] = node


def test_objects_lie_on_nodes_that_only_dial(tmp_path: Path) -> None:
    with running(tmp_path / "data", **AT_ONCE, profile="2+1", fleet__dial_in="127.0.0.1:0") as store:
        fleet = Fleet(store)
        try:
            add_dialling(fleet, 1, 2, 3)
            until(lambda: list(fleet.states().values()) == ["up"] * 3, "all are up", 60)
            until(lambda: fleet.pool() > 0, "there is a pool", 30)
            body = os.urandom(300_000)

            async def put_and_get() -> bytes:
                async with store.s3() as s3:
                    await s3.must("PUT", "/bucket")
                    async with asyncio.timeout(30):  # each node dials each gateway within some seconds
                        while not (await s3.call("PUT", "/bucket/key", body)).ok:
                            await asyncio.sleep(0.2)
                    return (await s3.must("GET", "/bucket/key")).body

            assert asyncio.run(put_and_get()) == body
            fleet.nodes[1].kill()
            until(lambda: fleet.states()["n01"] != "up", "its absence is seen", 30)
            fleet.nodes[1].start()
            until(lambda: fleet.states()["n01"] == "up", "it dialled again", 60)
        finally:
            fleet.end()
