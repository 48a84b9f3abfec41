"""A store without nodes of its own: `up --nodes 0` waits for those of other boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.running import Running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "data", {"nodes": 0, "profile": "2+1", "workers": 1, "fleet__listen": "127.0.0.1:0"})
    running.start()
    yield running
    running.kill()


async def test_up_without_nodes_serves_and_refuses_what_needs_them(store: Running) -> None:
    async with store.s3() as s3:
        await s3.must("PUT", "/photos")
        refused = await s3.call("PUT", "/photos/big", body=b"x" * 100_000)
        assert (refused.status, refused.code) == (503, "SlowDown")
        assert b"too few have joined" in refused.body
        await s3.must("PUT", "/photos/small", body=b"x" * 100)  # a row of the metadata: no node holds it
    assert store.rows("SELECT count(*) FROM placement") == [(0,)]
    store.stop()
    store.start()  # by the same command
    async with store.s3() as s3:
        assert await s3.get("photos", "small") == b"x" * 100
    store.stop()
