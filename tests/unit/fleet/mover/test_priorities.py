"""What goes first, what waits for it, and how much may move at one node; over real chunks."""

from __future__ import annotations

from collections import Counter

from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.worker import Did
from cyxcloud.meta import cluster, nodes, placements
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import PlacementState
from fleet.mover.queue import Queue
from fleet.mover.view import Rank, read_view
from tests.unit.fleet.mover.conftest import AT_ONCE, WIDTH, MoverRig

EAGER = AT_ONCE.model_copy(update={"rebalance_least_mib": 0.0})


def leave(rig: MoverRig, number: int) -> None:
    def change(conn: Connection) -> None:
        nodes.set_leaving(conn, NodeNumber(number), leaving=True)
        cluster.bump(conn, Epoch.TOPOLOGY)

    rig.writer.call(change)


def load(rig: MoverRig) -> Counter[int]:
    return Counter({number: sum(len(each.payload) for each in rig.shards(number).values()) for number in range(1, 21)})


async def test_repair_comes_before_drains_and_the_worst_first(rig: MoverRig) -> None:
    mover = rig.mover(AT_ONCE.model_copy(update={"mib_per_second": 0.001}))
    drained, hurt, lost = rig.put(placement=7), rig.put(placement=6), rig.put(placement=1)
    rig.hurt(hurt, 1, 2)
    leave(rig, 20)
    rig.lose(1)
    await mover.step(rig.clock.monotonic())
    queue = Queue(rig.reader)
    queue.fill(read_view(rig.reader), rig.clock.monotonic())
    found = [queue.next() for _ in range(4)]
    order = [wound.blob for wound in found if wound is not None and wound.blob != hurt]
    ranks = [wound.rank for wound in found if wound is not None]
    assert ranks == sorted(ranks)
    assert ranks[-1] is Rank.DRAIN
    assert order[-1] == drained
    assert lost in {*order, *(blob for blob in (lost,) if rig.good(lost) == WIDTH)}


async def test_a_node_takes_no_more_than_its_share(rig: MoverRig) -> None:
    """Its chunks wait for it, those of others do not."""
    settings = AT_ONCE.model_copy(update={"node_mib_per_second": 0.05})
    blobs = [rig.put(placement=1 + at % 6) for at in range(24)]
    mover = rig.mover(settings)
    rig.lose(7)
    began = rig.clock.monotonic()
    steps = 0
    while any(rig.good(blob) < WIDTH for blob in blobs):
        await mover.step(rig.clock.monotonic())
        rig.clock.advance(0.05)
        steps += 1
        assert steps < 1000
    seconds = rig.clock.monotonic() - began
    most = max(sum(len(stored.payload) for shard, stored in rig.shards(number).items()) for number in range(15, 21))
    assert seconds > 1
    assert most <= (seconds + 1) * 0.05 * (1 << 20) + 24 * 3200


async def test_new_nodes_get_their_share_and_then_nothing_moves(rig: MoverRig) -> None:
    blobs = [rig.put_on(*range(1, 15)) for _ in range(20)]
    mover = rig.mover(EAGER)
    for _ in range(20):
        await rig.run(mover)
        rig.clock.advance(10)
    moved = mover.tally.bytes
    assert moved > 0
    await rig.clean()
    held = load(rig)
    assert min(held.values()) > 0.85 * sum(held.values()) / 20
    assert max(held.values()) < 1.15 * sum(held.values()) / 20
    assert [rig.good(blob) for blob in blobs] == [WIDTH] * len(blobs)
    assert [rig.copies(blob) for blob in blobs] == [WIDTH] * len(blobs)
    for _ in range(20):
        rig.clock.advance(700)
        await rig.run(mover)
    assert mover.tally.bytes == moved


async def test_rebalancing_can_be_switched_off(rig: MoverRig) -> None:
    rig.put()
    rig.put(placement=2)
    mover = rig.mover(EAGER.model_copy(update={"rebalance": False}))
    for _ in range(5):
        assert not isinstance(await mover.step(rig.clock.monotonic()), Did)
        rig.clock.advance(700)


async def test_a_successor_that_levels_takes_the_place_in_the_pool(rig: MoverRig) -> None:
    for _ in range(20):
        rig.put_on(*range(1, 15))
    before = sum(row.state is PlacementState.OPEN for row in placements.read_all(rig.reader))
    mover = rig.mover(EAGER)
    await rig.run(mover)
    rows = placements.read_all(rig.reader)
    assert any(row.state is PlacementState.REPLACED for row in rows)
    assert sum(row.state is PlacementState.OPEN for row in rows) == before
