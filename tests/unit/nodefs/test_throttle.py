"""A node's limits: bytes a second in and out, over all of its connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.clock import ManualClock, SystemClock
from nodefs.folder import FolderUnusable, open_folder
from nodefs.provision import create_node
from nodefs.throttle import Bucket, Line, throttled
from tests.unit.nodefs.making import CLUSTER, COORDINATOR_PUBLIC, INCARNATION, UNSYNCED

KIB = 1024


@given(st.integers(1, 10**9), st.lists(st.tuples(st.integers(1, 10**7), st.floats(0, 2)), min_size=1, max_size=50))
def test_bucket_lets_no_more_through_than_its_rate_whatever_comes(rate: int, pieces: list[tuple[int, float]]) -> None:
    """Who waits as told has taken, at any moment, at most the burst, what the time gave, and one piece of debt."""
    clock = ManualClock()
    bucket = Bucket(rate, clock)
    burst = max(rate / 4, 64 * KIB)
    taken = 0
    for size, pause in pieces:
        assert taken <= burst + rate * clock.monotonic() * (1 + 1e-9) + 1
        delay = bucket.take(size)
        taken += size
        clock.advance(delay + pause)


def test_bucket_without_a_limit_never_waits_and_tells_of_none() -> None:
    line = Line.of(0, 0, ManualClock())
    assert (line.incoming.take(10**12), line.is_limited, line.available_bps()) == (0.0, False, 0)


def test_available_bandwidth_is_what_is_left_of_the_narrower_way() -> None:
    clock = ManualClock()
    line = Line.of(1000, 4000, clock)
    clock.advance(10.0)
    line.incoming.take(5000)
    assert line.available_bps() == 8 * 500
    clock.advance(60.0)
    assert 8 * 900 < line.available_bps() <= 8 * 1000


class Echo(asyncio.BufferedProtocol):
    """Gives everything back, and stops reading while it cannot write, as hosts do."""

    def __init__(self) -> None:
        self.buffer = bytearray(16 * KIB)
        self.paused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.writelines([bytes(self.buffer[:nbytes])])

    def pause_writing(self) -> None:
        self.paused += 1
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


@contextlib.asynccontextmanager
async def served(line: Line, path: str) -> AsyncIterator[None]:
    served: list[Echo] = []

    def make() -> Echo:
        served.append(Echo())
        return served[-1]

    server = await asyncio.get_running_loop().create_unix_server(throttled(make, line), path)
    try:
        yield
    finally:
        server.close()
        for each in served:
            each.transport.abort()
        await asyncio.sleep(0)


async def echo(path: str, data: bytes) -> float:
    """The seconds that it took."""
    began = asyncio.get_running_loop().time()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    writer.close()
    await writer.wait_closed()
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize(("rate_in", "rate_out"), [(800 * KIB, 0), (0, 800 * KIB)])
async def test_line_is_as_slow_as_it_is_told_and_loses_nothing(tmp_path: Path, rate_in: int, rate_out: int) -> None:
    path = str(tmp_path / "s")
    async with served(Line.of(rate_in, rate_out, SystemClock()), path):
        took = await echo(path, os.urandom(400 * KIB))  # 200 KiB at once, 200 KiB at 800 KiB a second
    assert 0.2 < took < 2.0


async def test_connections_of_a_node_share_its_limit(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with served(Line.of(1600 * KIB, 0, SystemClock()), path):
        took = await asyncio.gather(*(echo(path, os.urandom(300 * KIB)) for _ in range(4)))
    assert 0.4 < max(took) < 3.0


async def test_line_without_a_limit_stands_in_nobodys_way() -> None:
    assert throttled(Echo, Line.of(0, 0, ManualClock())) is Echo


def test_limits_stand_in_the_nodes_config_and_are_none_where_it_is_older(tmp_path: Path) -> None:
    folder = tmp_path / "n1"
    create_node(folder, "n1", CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    assert (open_folder(folder).bandwidth_in, open_folder(folder).bandwidth_out) == (0, 0)
    (folder / "config.toml").write_text("capacity_bytes = 7\n")
    assert open_folder(folder).bandwidth_in == 0
    (folder / "config.toml").write_text("bandwidth_in = 5\nbandwidth_out = 6\n")
    assert (open_folder(folder).bandwidth_in, open_folder(folder).bandwidth_out) == (5, 6)
    (folder / "config.toml").write_text("bandwidth_in = -5\n")
    with pytest.raises(FolderUnusable, match="below 0"):
        open_folder(folder)
