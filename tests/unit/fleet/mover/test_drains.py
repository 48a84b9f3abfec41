"""R19, its parts: what a drain counts, when it ends, and what its receipt is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.worker import Did
from cyxcloud.meta import drains, health, node_events, placements, strays
from cyxcloud.meta.drains import DrainState
from cyxcloud.meta.rows import DOWN, GONE, UP, PlacementState
from fleet.drainreceipt import BadReceipt, DrainReceipt, sign_receipt, verify_receipt
from fleet.drains import SETTLE_SECONDS, DrainRefused, Drains
from fleet.mover.view import read_view
from fleet.mover.worker import Mover
from tests.unit.fleet.mover.conftest import CLUSTER, WIDTH, MoverRig

TWO = NodeNumber(2)
SIZES = (30_000, 90_000, 5)


@pytest.fixture
def worker(rig: MoverRig) -> Drains:
    return Drains(rig.reader, rig.writer, rig.store_clock, rig.signer)


async def settled(rig: MoverRig, worker: Drains, mover: Mover) -> None:
    """Everything has moved, what was left behind is deleted, and the worker has looked twice."""
    await rig.run(mover)
    await rig.clean()
    await worker.step(rig.clock.monotonic())
    rig.clock.advance(SETTLE_SECONDS + 0.1)
    await worker.step(rig.clock.monotonic())


def held_bytes(rig: MoverRig, number: int) -> int:
    return sum(len(stored.payload) for stored in rig.shards(number).values())


async def test_drain_moves_what_the_node_holds_and_ends_with_a_receipt(rig: MoverRig, worker: Drains) -> None:
    blobs = [rig.put(size, placement) for size in SIZES for placement in (1, 2, 3)]
    shards, size = len(rig.shards(2)), held_bytes(rig, 2)
    row = await worker.begin(TWO)
    assert (row.shards, row.size_bytes) == (shards, size)
    await settled(rig, worker, rig.mover())
    ended = drains.read(rig.reader, TWO)
    assert ended is not None
    assert ended.receipt is not None
    assert ended.signature is not None
    assert (ended.state, ended.shards_moved, ended.bytes_moved) == (DrainState.DRAINED, shards, size)
    receipt = verify_receipt(rig.signer.key.public_key().public_bytes_raw(), ended.receipt, ended.signature)
    assert (receipt.node, receipt.bytes_moved) == (read_view(rig.reader).nodes[TWO].node_id.hex(), size)
    assert (receipt.cluster, receipt.incarnation) == (CLUSTER.cluster_id.hex(), CLUSTER.incarnation.hex())
    assert not rig.shards(2)
    assert [(rig.good(blob), rig.copies(blob)) for blob in blobs] == [(WIDTH, WIDTH)] * len(blobs)
    node = read_view(rig.reader).nodes[TWO]
    assert (node.state, node.reason) == (GONE, "drained")


async def test_drain_keeps_the_node_as_a_source_that_takes_nothing_new(rig: MoverRig, worker: Drains) -> None:
    blob = rig.put()
    await worker.begin(TWO)
    assert read_view(rig.reader).can_read(TWO)
    assert rig.good(blob) == WIDTH
    pool = [each for each in placements.read_all(rig.reader) if each.state is PlacementState.OPEN]
    assert pool
    assert not any(TWO in each.nodes for each in pool)


async def test_drain_does_not_end_while_a_stray_is_left(rig: MoverRig, worker: Drains) -> None:
    rig.put()
    await worker.begin(TWO)
    await rig.run(rig.mover())
    for _ in range(3):
        rig.clock.advance(SETTLE_SECONDS + 0.1)
        assert not isinstance(await worker.step(rig.clock.monotonic()), Did)
    assert strays.count(rig.reader) == 1
    assert worker.progress()[0].waiting_for == ("what has moved is still to be deleted there",)


async def test_drain_does_not_end_at_the_first_look(rig: MoverRig, worker: Drains) -> None:
    """A write that was under way commits into a placement of the node a moment after it looked empty."""
    mover = rig.mover()
    await worker.begin(TWO)
    await worker.step(rig.clock.monotonic())
    late = rig.put()
    rig.clock.advance(SETTLE_SECONDS + 0.1)
    assert not isinstance(await worker.step(rig.clock.monotonic()), Did)
    await settled(rig, worker, mover)
    assert rig.good(late) == WIDTH
    row = drains.read(rig.reader, TWO)
    assert row is not None
    assert (row.shards, row.shards_moved, row.state) == (0, 1, DrainState.DRAINED)


async def test_cancel_stops_a_drain_and_resume_goes_on_with_its_counts(rig: MoverRig, worker: Drains) -> None:
    blobs = [rig.put() for _ in range(40)]
    mover = rig.mover()
    begun = await worker.begin(TWO)
    await mover.step(rig.clock.monotonic())
    halfway = await worker.cancel(TWO)
    assert 0 < halfway.shards_moved < 40
    assert not read_view(rig.reader).nodes[TWO].leaving
    assert any(TWO in each.nodes for each in placements.read_all(rig.reader) if each.state is PlacementState.OPEN)
    await rig.run(mover)
    after = drains.read(rig.reader, TWO)
    assert after == halfway, "what has not moved stays"
    assert sum(TWO in rig.nodes_of(blob) for blob in blobs) == 40 - halfway.shards_moved
    assert health.read(rig.reader).queued == 0, "nothing is to be done"
    assert (await worker.resume(TWO)).begun_at_ms == begun.begun_at_ms
    await settled(rig, worker, mover)
    row = drains.read(rig.reader, TWO)
    assert row is not None
    assert (row.state, row.shards, row.shards_moved) == (DrainState.DRAINED, 40, 40)
    events = [each.kind for each in node_events.page(rig.reader, TWO)]
    assert events == ["drained", "drain resumed", "drain cancelled", "drain begun"]


async def test_begin_of_a_cancelled_drain_resumes_it(rig: MoverRig, worker: Drains) -> None:
    await worker.begin(TWO)
    await worker.cancel(TWO)
    assert (await worker.begin(TWO)).state is DrainState.DRAINING


async def test_begin_is_refused_where_the_others_could_not_hold_a_chunk(rig: MoverRig, worker: Drains) -> None:
    for number in range(15, 21):
        rig.set_state(number, DOWN)
    with pytest.raises(DrainRefused, match="13 nodes"):
        await worker.begin(TWO)
    assert not read_view(rig.reader).nodes[TWO].leaving
    rig.set_state(15, UP)
    await worker.begin(TWO)


async def test_begin_and_cancel_twice_are_refused(rig: MoverRig, worker: Drains) -> None:
    await worker.begin(TWO)
    with pytest.raises(DrainRefused):
        await worker.begin(TWO)
    await worker.cancel(TWO)
    with pytest.raises(DrainRefused):
        await worker.cancel(TWO)


async def test_an_object_deleted_during_a_drain_is_not_waited_for_beyond_its_grace(
    rig: MoverRig, worker: Drains
) -> None:
    blob = rig.put()
    mover = rig.mover()
    await worker.begin(TWO)
    rig.delete(blob)
    await rig.run(mover)
    await worker.step(rig.clock.monotonic())
    assert worker.progress()[0].left == 1
    await settled(rig, worker, mover)
    row = drains.read(rig.reader, TWO)
    assert row is not None
    assert (row.state, row.shards, row.shards_moved) == (DrainState.DRAINED, 1, 0)


async def test_progress_gives_rate_and_expected_end(rig: MoverRig, worker: Drains) -> None:
    for _ in range(40):
        rig.put()
    mover = rig.mover()
    await worker.begin(TWO)
    await worker.step(rig.clock.monotonic())
    await mover.step(rig.clock.monotonic())
    rig.clock.advance(2)
    await worker.step(rig.clock.monotonic())
    found = worker.progress()[0]
    moved = found.row.shards_moved
    assert found.left == 40 - moved
    assert found.bytes_per_second == found.row.bytes_moved / 2
    assert found.expected_end_ms is not None
    expected_ms = 2000 * (40 - moved) / moved
    assert found.expected_end_ms - rig.store_clock.now_ms() == pytest.approx(expected_ms, abs=2)


CHANGES: dict[str, Callable[[DrainReceipt], DrainReceipt]] = {
    "node": lambda honest: replace(honest, node="00"),
    "bytes": lambda honest: replace(honest, bytes_moved=1 << 40),
    "incarnation": lambda honest: replace(honest, incarnation="00"),
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
async def test_a_receipt_that_was_changed_is_refused(
    rig: MoverRig, worker: Drains, changed: Callable[[DrainReceipt], DrainReceipt]
) -> None:
    rig.put()
    await worker.begin(TWO)
    await settled(rig, worker, rig.mover())
    row = drains.read(rig.reader, TWO)
    assert row is not None
    assert row.receipt is not None
    assert row.signature is not None
    key = rig.signer.key.public_key().public_bytes_raw()
    honest = verify_receipt(key, row.receipt, row.signature)
    forged, _ = sign_receipt(Ed25519PrivateKey.generate(), changed(honest))
    for body, signature in ((forged, row.signature), sign_receipt(Ed25519PrivateKey.generate(), honest)):
        with pytest.raises(BadReceipt):
            verify_receipt(key, body, signature)
