"""What lifecycle rules have due stays while it is locked, and goes afterwards."""

from __future__ import annotations

import pytest

from cyxcloud.meta import bucket_config as stored_config
from cyxcloud.meta.rows import BucketFlags
from cyxcloud.objects.attributes import Attributes, Lock
from cyxcloud.objects.lifecycle import Noncurrent
from cyxcloud.objects.lock import COMPLIANCE, GOVERNANCE
from tests.unit.fleet.test_lifecycle import BUCKET, DAY, Bench, bench

__all__ = ["bench"]


async def put_locked(bench: Bench, lock: Lock | None) -> None:
    await bench.objects.put_object(BUCKET, b"key", b"x", BUCKET.account, Attributes(lock=lock))


@pytest.mark.parametrize("mode", [GOVERNANCE, COMPLIANCE, ""])
async def test_noncurrent_expiration_leaves_what_is_locked(bench: Bench, mode: str) -> None:
    await bench.versioned()
    store = await bench.objects.ready()
    await store.change(lambda conn: stored_config.set_flag(conn, BUCKET.id, BucketFlags.OBJECT_LOCK, on=True))
    until_ms = bench.store_clock.now_ms() + int(5 * DAY * 1000)
    locked = Lock(mode, until_ms) if mode else Lock(legal_hold=True)
    for lock in (locked, None, None):
        await put_locked(bench, lock)
    await bench.rules(noncurrent_expiration=Noncurrent(1))
    await bench.after(2)
    assert len(bench.chain(b"key")) == 2
    await bench.after(4)
    assert len(bench.chain(b"key")) == (1 if mode else 2)
