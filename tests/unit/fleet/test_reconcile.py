from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from cyxcloud.core.ids import COUNTER_BITS, BlobId, NodeId, NodeNumber, PlacementId, SessionNumber, ShardId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import blobs, cluster, nodes, placements, reconcile, sessions, strays
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BlobRow, ChunkRow, PlacementRow, PlacementState, ReconcileState, SegmentRow
from cyxcloud.wire.memory import StoredShard
from cyxcloud.wire.shardhost import ListAnswer
from cyxcloud.wire.status import HostUnavailable
from fleet import reconcile as module
from fleet.deletions import Deletions
from fleet.reconcile import Reconciler
from fleet.sessions import SessionWatch
from fleet.unreferenced import BELIEVED_BYTES
from tests.unit.fleet.conftest import CLUSTER, Fleet

CLOSED, OPEN, UNKNOWN, MOVER = (SessionNumber(number) for number in (11, 22, 33, 44))
INTERVAL, GRACE = 3600.0, 60.0
ROOT = b"r" * 32


@pytest.fixture
def worker(fleet: Fleet) -> Reconciler:
    for number in (CLOSED, OPEN):
        fleet.writer.call(partial(sessions.create, number=number, role="gateway", now_ms=0))
    close(fleet, CLOSED)
    return reconciler(fleet)


def reconciler(fleet: Fleet) -> Reconciler:
    watch = SessionWatch(fleet.reader, fleet.writer, fleet.store_clock)
    return Reconciler(
        fleet.hosts,
        fleet.reader,
        fleet.writer,
        fleet.store_clock,
        watch,
        interval_seconds=INTERVAL,
        grace_seconds=GRACE,
    )


def close(fleet: Fleet, number: SessionNumber) -> None:
    now_ms = fleet.store_clock.now_ms()
    fleet.writer.call(lambda conn: sessions.close(conn, number, now_ms))


def put(fleet: Fleet, session: int, counter: int, *, node: int, index: int | None = None, size: int = 100) -> ShardId:
    """A shard on a node; by default as placement 1 places it."""
    shard = ShardId(BlobId(session << COUNTER_BITS | counter), 0, node - 1 if index is None else index)
    host, node_id = fleet.host_of(node), fleet.rows[node - 1].node_id
    host.shards[node_id][shard] = StoredShard(bytes(size), b"", b"")
    host._order[node_id] = sorted([*host._order[node_id], shard])
    return shard


def refer(fleet: Fleet, blob: BlobId) -> None:
    def change(conn: Connection) -> None:
        blobs.insert_chunked(conn, BlobRow(blob, 1, 10, 2, 1, 1, 1), [ChunkRow(0, ROOT, PlacementId(1))])

    fleet.writer.call(change)


async def run(worker: Reconciler, now: float = 0.0) -> None:
    """Until it has nothing to do."""
    for _ in range(100):
        if isinstance(await worker.step(now), Idle):
            return
    raise AssertionError("it never rests")


def trash(fleet: Fleet) -> set[tuple[int, ShardId]]:
    rows = [row for node in fleet.rows for row in strays.due(fleet.reader, node.number, 1 << 60)]
    return {(row.node, ShardId(row.blob, row.chunk, row.shard_index)) for row in rows}


def states(fleet: Fleet) -> set[ReconcileState]:
    return {row.state for row in reconcile.read_all(fleet.reader)}


async def test_what_a_closed_session_never_committed_goes_after_the_grace(fleet: Fleet, worker: Reconciler) -> None:
    shard = put(fleet, CLOSED, 1, node=2)
    await run(worker)
    assert trash(fleet) == {(2, shard)}
    deletions = Deletions(fleet.hosts, fleet.reader, fleet.writer, fleet.store_clock, fleet.signer)
    await deletions.step(0.0)
    assert shard in fleet.hosts[0].shards[fleet.rows[1].node_id]
    fleet.clock.advance(GRACE)
    await deletions.step(0.0)
    assert shard not in fleet.hosts[0].shards[fleet.rows[1].node_id]


async def test_what_rows_place_stays(fleet: Fleet, worker: Reconciler) -> None:
    refer(fleet, put(fleet, CLOSED, 1, node=1).blob)
    await run(worker)
    assert trash(fleet) == set()


async def test_a_shard_on_another_node_than_its_rows_say_goes(fleet: Fleet, worker: Reconciler) -> None:
    refer(fleet, put(fleet, CLOSED, 1, node=1).blob)
    twice = put(fleet, CLOSED, 1, node=4, index=0)
    await run(worker)
    assert trash(fleet) == {(4, twice)}


async def test_what_an_open_session_may_commit_stays(fleet: Fleet, worker: Reconciler) -> None:
    put(fleet, OPEN, 1, node=1)
    await run(worker)
    assert trash(fleet) == set()


async def test_what_a_mover_held_for_two_days_has_written_is_there_when_it_commits(
    fleet: Fleet, worker: Reconciler
) -> None:
    """The blob's own session was closed long ago; the place of the shard is named by the placement's successor."""
    members = tuple(row.number for row in fleet.rows[1:])

    def succeed(conn: Connection) -> None:
        sessions.create(conn, MOVER, "mover", 0)
        placements.add(conn, [PlacementRow(PlacementId(2), 2, 1, members, PlacementState.CLOSED, None)])
        placements.succeed(conn, PlacementId(1), PlacementId(2))

    fleet.writer.call(succeed)
    blob = put(fleet, CLOSED, 1, node=1).blob
    refer(fleet, blob)
    moved = put(fleet, CLOSED, 1, node=4, index=2)
    deletions = Deletions(fleet.hosts, fleet.reader, fleet.writer, fleet.store_clock, fleet.signer)

    async def two_days() -> None:
        for _ in range(2 * 24):
            fleet.clock.advance(INTERVAL)
            fleet.writer.call(lambda conn: sessions.beat(conn, MOVER))
            await run(worker, fleet.clock.elapsed)
            await deletions.step(fleet.clock.elapsed)

    await two_days()
    old, new = PlacementId(1), PlacementId(2)
    assert fleet.writer.bound_to(MOVER).call(lambda conn: blobs.move_chunk(conn, blob, 0, old=old, new=new))
    await two_days()
    assert moved in fleet.hosts[1].shards[fleet.rows[3].node_id]


async def test_a_session_that_closes_during_the_pass_waits_for_the_next(
    fleet: Fleet, worker: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = put(fleet, OPEN, 1, node=1)
    honest = fleet.hosts[0].list_shards

    async def closing(*args: NodeId, **options: int) -> ListAnswer:
        close(fleet, OPEN)
        return await honest(*args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(fleet.hosts[0], "list_shards", closing)
        while (await worker.step(0.0)) != Did(0, "filing unreferenced shards"):
            pass
    assert trash(fleet) == set()
    await run(worker)
    assert trash(fleet) == {(1, shard)}


async def test_a_lapsed_session_is_closed_before_nodes_are_listed(fleet: Fleet, worker: Reconciler) -> None:
    shard = put(fleet, OPEN, 1, node=1)
    await worker._sessions.step(0.0)
    await run(worker, now=601.0)
    assert trash(fleet) == {(1, shard)}


async def test_an_unknown_session_counts_as_open_until_a_restored_store_is_adopted(
    fleet: Fleet, worker: Reconciler
) -> None:
    shard = put(fleet, UNKNOWN, 1, node=1)
    await run(worker)
    assert trash(fleet) == set(), "no restore: this database is not what it says it is"
    fleet.clock.advance(1)
    now_ms = fleet.store_clock.now_ms()
    fleet.writer.call(lambda conn: cluster.set_restored(conn, CLUSTER.incarnation, now_ms))
    await run(worker)
    assert trash(fleet) == set()
    assert states(fleet) == {ReconcileState.COUNTED}
    assert sum(row.unreferenced_shards for row in reconcile.read_all(fleet.reader)) == 1
    fleet.writer.call(cluster.set_adopted)
    await run(worker)
    assert trash(fleet) == {(1, shard)}


async def test_a_session_opened_during_the_pass_of_an_adopted_store_stays(
    fleet: Fleet, worker: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.writer.call(lambda conn: cluster.set_restored(conn, CLUSTER.incarnation, 1))
    fleet.writer.call(cluster.set_adopted)
    honest = fleet.hosts[0].list_shards

    async def opening(*args: NodeId, **options: int) -> ListAnswer:
        fleet.writer.call(partial(sessions.create, number=UNKNOWN, role="gateway", now_ms=0))
        put(fleet, UNKNOWN, 1, node=1)
        return await honest(*args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(fleet.hosts[0], "list_shards", opening)
        await run(worker)
    assert trash(fleet) == set()


async def test_too_much_on_one_node_holds_everything_until_it_is_allowed_once(fleet: Fleet, worker: Reconciler) -> None:
    half = BELIEVED_BYTES // 2 + 1
    small = put(fleet, CLOSED, 1, node=2)
    big = [put(fleet, CLOSED, counter, node=1, size=half) for counter in (2, 3)]
    await run(worker)
    assert (trash(fleet), states(fleet)) == (set(), {ReconcileState.HELD, ReconcileState.COUNTED})
    fleet.clock.advance(2 * INTERVAL)
    await run(worker)
    await run(reconciler(fleet))
    assert trash(fleet) == set(), "it stays held"
    fleet.writer.call(reconcile.allow)
    await run(worker)
    assert trash(fleet) == {(2, small), *((1, each) for each in big)}
    more = [put(fleet, CLOSED, counter, node=1, size=half) for counter in (4, 5)]
    fleet.clock.advance(2 * INTERVAL)
    await run(worker)
    assert not trash(fleet) & {(1, each) for each in more}, "once"


async def test_a_queued_blob_is_left_to_its_own_orders(fleet: Fleet, worker: Reconciler) -> None:
    shard = put(fleet, CLOSED, 1, node=1)
    refer(fleet, shard.blob)
    gone = SegmentRow(shard.blob, 0, 10, b"", 0, 1, b"")
    fleet.writer.call(lambda conn: blobs.release(conn, [gone], 1 << 60))
    await run(worker)
    assert trash(fleet) == set()


async def test_what_is_ordered_gone_while_a_node_is_listed_does_not_count(
    fleet: Fleet, worker: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = put(fleet, CLOSED, 1, node=1)
    refer(fleet, shard.blob)
    gone = SegmentRow(shard.blob, 0, 10, b"", 0, 1, b"")
    fleet.writer.call(lambda conn: blobs.release(conn, [gone], 0))
    deletions = Deletions(fleet.hosts, fleet.reader, fleet.writer, fleet.store_clock, fleet.signer)
    honest = fleet.hosts[0].list_shards

    async def deleting(*args: NodeId, **options: int) -> ListAnswer:
        answer = await honest(*args, **options)  # type: ignore[arg-type]
        await deletions.step(0.0)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(fleet.hosts[0], "list_shards", deleting)
        await run(worker)
    assert trash(fleet) == set()
    assert [row.unreferenced_shards for row in reconcile.read_all(fleet.reader)] == [0, 0, 0, 0]


async def test_a_session_closed_later_is_swept_before_the_next_whole_pass(fleet: Fleet, worker: Reconciler) -> None:
    await run(worker)
    shard = put(fleet, OPEN, 1, node=3)
    close(fleet, OPEN)
    await run(worker)
    assert trash(fleet) == {(3, shard)}


async def test_a_session_closed_before_a_restart_is_swept_after_it(fleet: Fleet, worker: Reconciler) -> None:
    await run(worker)
    fleet.clock.advance(1)
    shard = put(fleet, OPEN, 1, node=3)
    close(fleet, OPEN)
    await run(reconciler(fleet))
    assert trash(fleet) == {(3, shard)}


def is_away(fleet: Fleet) -> None:
    fleet.writer.call(lambda conn: nodes.set_state(conn, NodeNumber(3), "down"))


def its_host_is_gone(fleet: Fleet) -> None:
    fleet.hosts[1].available = False


@pytest.mark.parametrize("leave", [is_away, its_host_is_gone])
async def test_a_node_that_is_away_is_looked_through_when_it_is_back(
    fleet: Fleet, worker: Reconciler, leave: Callable[[Fleet], None]
) -> None:
    shard = put(fleet, CLOSED, 1, node=3)
    leave(fleet)
    await run(worker)
    assert trash(fleet) == set()
    fleet.hosts[1].available = True
    fleet.writer.call(lambda conn: nodes.set_state(conn, NodeNumber(3), "up"))
    await run(worker)
    assert trash(fleet) == {(3, shard)}


async def test_pages_and_bounds_lose_nothing(fleet: Fleet, worker: Reconciler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_SHARDS", 3)
    monkeypatch.setattr(module, "MAX_FOUND", 4)
    monkeypatch.setattr(module, "BATCH_STRAYS", 2)
    expected = {(node, put(fleet, CLOSED, counter, node=node)) for counter in range(1, 8) for node in (1, 3)}
    await run(worker)
    assert trash(fleet) == expected
    assert states(fleet) == {ReconcileState.DONE}


async def test_a_host_that_goes_in_the_middle_leaves_its_node_for_the_next_pass(
    fleet: Fleet, worker: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = put(fleet, CLOSED, 1, node=1)

    async def gone(*_args: NodeId, **_options: int) -> ListAnswer:
        raise HostUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(fleet.hosts[0], "list_shards", gone)
        for _ in range(5):
            await worker.step(0.0)
    assert {row.node for row in reconcile.read_all(fleet.reader)} <= {3, 4}
    await run(worker)
    assert trash(fleet) == {(1, shard)}
