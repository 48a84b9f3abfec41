"""R20: what happens to a chunk while it is being moved. Nothing comes back to life, nothing is kept twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cyxcloud.core.ids import BlobId, NodeNumber, PlacementId, ShardId
from cyxcloud.meta import blobs, placements, repairs, strays
from cyxcloud.meta.drains import DrainState
from cyxcloud.meta.rows import READ_ONLY, UP, SegmentRow
from cyxcloud.wire.memory import MemoryHost
from cyxcloud.wire.status import HostUnavailable
from fleet.deletions import Deletions
from fleet.drains import SETTLE_SECONDS, Drains
from tests.unit.fleet.mover.conftest import AT_ONCE, GRACE_SECONDS, WIDTH, MoverRig


def after_put(rig: MoverRig, happens: Callable[[], Awaitable[None]]) -> None:
    """The first time that the mover has put shards, and before it says so in the database."""
    pending = [happens]

    def hook(host: MemoryHost) -> None:
        put = host.put

        async def hooked(*args: Any, **options: Any) -> Any:
            answer = await put(*args, **options)
            if pending:
                await pending.pop()()
            return answer

        host.put = hooked  # type: ignore[method-assign]

    for host in rig.hosts:
        hook(host)


async def test_a_chunk_deleted_during_repair_stays_deleted(rig: MoverRig) -> None:
    blob = rig.put()
    mover = rig.mover()

    async def delete() -> None:
        rig.delete(blob)
        await rig.clean()
        assert blobs.read(rig.reader, blob) is None

    after_put(rig, delete)
    rig.lose(2)
    await rig.run(mover)
    rig.set_state(2, UP)
    await rig.clean()
    assert blobs.chunk_of(rig.reader, blob, 0) is None
    assert (rig.copies(blob), repairs.count(rig.reader), strays.count(rig.reader)) == (0, 0, 0)


async def test_a_shard_that_is_put_after_its_blob_is_gone_goes_at_once(rig: MoverRig) -> None:
    """The deletion's orders have been carried out before the put arrives."""
    blob = rig.put()
    mover = rig.mover()
    pending = [True]
    for host in rig.hosts:
        put = host.put

        async def late(*args: Any, put: Any = put, **options: Any) -> Any:
            if pending:
                pending.clear()
                rig.delete(blob)
                await rig.clean()
            return await put(*args, **options)

        host.put = late  # type: ignore[method-assign]
    rig.lose(2)
    await rig.run(mover)
    rig.set_state(2, UP)
    await rig.clean()
    assert (rig.copies(blob), strays.count(rig.reader)) == (0, 0)


async def test_a_chunk_deleted_during_repair_and_not_gone_yet_goes_whole(rig: MoverRig) -> None:
    blob = rig.put()
    mover = rig.mover()

    async def delete() -> None:
        rig.delete(blob)

    after_put(rig, delete)
    rig.lose(2)
    await rig.run(mover)
    rig.set_state(2, UP)
    await rig.clean()
    assert (rig.copies(blob), strays.count(rig.reader)) == (0, 0)


async def test_shards_put_before_a_mover_died_go_with_their_blob(rig: MoverRig) -> None:
    """It put a shard on the successor's node and never came to say so."""
    blob = rig.put()
    mover = rig.mover()

    async def die() -> None:
        raise Died

    after_put(rig, die)
    rig.lose(2)
    with pytest.raises(Died):
        await rig.run(mover)
    assert rig.copies(blob) == WIDTH + 1
    rig.delete(blob)
    rig.set_state(2, UP)
    await rig.clean()
    assert rig.copies(blob) == 0


async def test_a_chunk_copied_during_repair_stays(rig: MoverRig) -> None:
    blob = rig.put()
    mover = rig.mover()

    async def copy_then_delete_the_first() -> None:
        same = SegmentRow(blob, 0, 30_000, b"", 0, 1, b"")
        rig.writer.call(lambda conn: blobs.share(conn, [same]))
        rig.delete(blob)

    after_put(rig, copy_then_delete_the_first)
    rig.lose(2)
    await rig.run(mover)
    await rig.clean()
    assert rig.good(blob) == WIDTH


async def test_two_movers_do_it_once(rig: MoverRig) -> None:
    chunks = [rig.put(placement=1 + at % 3) for at in range(12)]
    for blob in chunks[::2]:
        rig.hurt(blob, 5)
    movers = [rig.mover(), rig.mover()]
    rig.lose(3)
    await asyncio.gather(*(rig.run(mover) for mover in movers))
    assert [rig.good(blob) for blob in chunks] == [WIDTH] * len(chunks)
    rig.set_state(3, UP)
    await rig.clean()
    assert [rig.copies(blob) for blob in chunks] == [WIDTH] * len(chunks)
    assert repairs.count(rig.reader) == 0


async def test_a_node_that_returns_during_repair_keeps_nothing_twice(rig: MoverRig) -> None:
    blob = rig.put()
    mover = rig.mover()

    async def come_back() -> None:
        rig.set_state(2, UP)

    after_put(rig, come_back)
    rig.lose(2)
    await rig.run(mover)
    await rig.clean()
    assert (rig.good(blob), rig.copies(blob), strays.count(rig.reader)) == (WIDTH, WIDTH, 0)


async def moved_away_from_2(rig: MoverRig) -> BlobId:
    """A chunk whose shard on node 2 is a stray, and only node 2 left to take it when its new home is lost."""
    blob = rig.put()
    mover = rig.mover()
    for number in range(16, 21):
        rig.set_state(number, READ_ONLY)
    rig.lose(2)
    await rig.run(mover)
    assert rig.nodes_of(blob)[1] == 15
    rig.set_state(2, UP)
    return blob


async def test_a_node_may_become_home_again_before_its_stray_is_due(rig: MoverRig) -> None:
    blob = await moved_away_from_2(rig)
    mover = rig.mover()
    rig.lose(15)
    await rig.run(mover)
    assert rig.nodes_of(blob)[1] == 2
    await rig.clean()
    assert rig.good(blob) == WIDTH


async def test_what_lay_there_before_is_looked_at_when_its_node_is_home_again(rig: MoverRig) -> None:
    """A put of what is there already is taken for done by its node, which reads no payload for that."""
    blob = await moved_away_from_2(rig)
    rig.host_of(2).corrupt(rig.node_id(2), ShardId(blob, 0, 1))
    mover = rig.mover()
    rig.lose(15)
    await rig.run(mover)
    for _ in range(3):
        rig.clock.advance(5)
        await rig.run(mover)
    assert (rig.good(blob), repairs.count(rig.reader)) == (WIDTH, 0)


async def test_a_node_is_no_home_while_the_deletion_of_the_shard_is_on_its_way(rig: MoverRig) -> None:
    """The order is signed and sent, nobody knows whether it has been carried out: the chunk waits for the receipt."""
    blob = await moved_away_from_2(rig)
    rig.clock.advance(GRACE_SECONDS + 1)
    deletions = Deletions(rig.hosts, rig.reader, rig.writer, rig.store_clock, rig.signer)
    delete, late = rig.host_of(2).delete, []

    async def no_answer(order: bytes, signature: bytes) -> Any:
        late.append((order, signature))
        raise HostUnavailable("no answer")

    rig.host_of(2).delete = no_answer  # type: ignore[method-assign]
    await deletions.step(0.0)
    assert late
    mover = rig.mover()
    rig.lose(15)
    await rig.run(mover)
    assert rig.nodes_of(blob)[1] == 15, "not switched yet"
    await delete(*late[0])
    rig.host_of(2).delete = delete  # type: ignore[method-assign]
    await deletions.step(1.0)
    rig.clock.advance(5)
    await rig.run(mover)
    assert rig.nodes_of(blob)[1] == 2
    assert rig.good(blob) == WIDTH


async def test_successors_are_made_once_by_two_movers(rig: MoverRig) -> None:
    rig.put()
    movers = [rig.mover(), rig.mover()]
    before = len(placements.read_all(rig.reader))
    rig.lose(2)
    await asyncio.gather(*(rig.run(mover) for mover in movers))
    assert len(placements.read_all(rig.reader)) == before + 1
    assert placements.in_use(rig.reader) == [PlacementId(before + 1)]


async def test_an_object_overwritten_during_repair_is_the_new_one_and_the_old_one_goes(rig: MoverRig) -> None:
    old, made = rig.put(), []
    mover = rig.mover()

    async def overwrite() -> None:
        made.append(rig.put(40_000))
        rig.delete(old)

    after_put(rig, overwrite)
    rig.lose(2)
    await rig.run(mover)
    (new,) = made
    rig.set_state(2, UP)
    await rig.clean()
    assert (rig.copies(old), rig.good(new), strays.count(rig.reader)) == (0, WIDTH, 0)
    await rig.run(mover)
    await rig.clean()
    assert rig.copies(new) == WIDTH


async def test_a_version_put_during_repair_leaves_the_older_one_whole(rig: MoverRig) -> None:
    """In a versioned bucket nothing is released: both stay, and both lie whole."""
    old, made = rig.put(), []
    mover = rig.mover()

    async def put_another() -> None:
        made.append(rig.put(40_000))

    after_put(rig, put_another)
    rig.lose(2)
    for _ in range(3):
        await rig.run(mover)
        rig.clock.advance(5)
    rig.set_state(2, UP)
    await rig.clean()
    for blob in (old, *made):
        assert (rig.good(blob), rig.copies(blob)) == (WIDTH, WIDTH)


async def test_two_movers_on_one_chunk_leave_one_copy_of_each_shard(rig: MoverRig) -> None:
    """Both have put it before either says so; they even chose different nodes, since the first one's was lost."""
    blob = rig.put()
    first, second = rig.mover(), rig.mover()

    async def the_other_does_it() -> None:
        rig.lose(15)
        await rig.run(second)

    for number in range(17, 21):
        rig.set_state(number, READ_ONLY)
    rig.set_state(16, READ_ONLY)
    after_put(rig, the_other_does_it)
    rig.lose(2)
    rig.set_state(16, UP)
    await rig.run(first)
    rig.set_state(2, UP)
    rig.set_state(15, UP)
    await rig.run(first)
    await rig.clean()
    assert (rig.good(blob), rig.copies(blob), strays.count(rig.reader)) == (WIDTH, WIDTH, 0)


async def test_a_node_that_dies_while_it_is_drained_is_made_up_for_from_the_others(rig: MoverRig) -> None:
    blobs = [rig.put() for _ in range(30)]
    drains = Drains(rig.reader, rig.writer, rig.store_clock, rig.signer)
    mover = rig.mover()
    await drains.begin(NodeNumber(2))
    await mover.step(rig.clock.monotonic())
    rig.lose(2)
    await rig.run(mover)
    assert [rig.good(blob) for blob in blobs] == [WIDTH] * len(blobs)
    assert drains.progress()[0].row.state is DrainState.DRAINING, "its receipts are still to come"
    rig.set_state(2, UP)
    await rig.run(mover)
    await rig.clean()
    await drains.step(rig.clock.monotonic())
    rig.clock.advance(SETTLE_SECONDS + 0.1)
    await drains.step(rig.clock.monotonic())
    assert drains.progress()[0].row.state is DrainState.DRAINED
    assert [rig.copies(blob) for blob in blobs] == [WIDTH] * len(blobs)


async def test_a_drain_cancelled_between_put_and_commit_keeps_nothing_twice(rig: MoverRig) -> None:
    blob = rig.put()
    drains = Drains(rig.reader, rig.writer, rig.store_clock, rig.signer)
    mover = rig.mover()

    async def cancel() -> None:
        await drains.cancel(NodeNumber(2))

    await drains.begin(NodeNumber(2))
    after_put(rig, cancel)
    await rig.run(mover)
    await rig.clean()
    assert (rig.good(blob), rig.copies(blob)) == (WIDTH, WIDTH)


# Dying at every step


class Died(BaseException):
    """The process is gone."""


class Mortal:
    """Counts what the mover does to the world, and dies before or after the Nth of it."""

    def __init__(self, at: int, *, after: bool) -> None:
        self._left, self._after = at, after
        self.died = False

    def wrap(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def mortal(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                self._die()
            answer = await call(*args, **options)
            if self._left == 0 and self._after:
                self._die()
            if self.died:
                raise Died
            return answer

        return mortal

    def _die(self) -> None:
        self.died = True
        raise Died


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_mover_that_dies_at_any_step_is_taken_over(rig: MoverRig, after: bool) -> None:  # noqa: FBT001
    """Each round something is lost, the mover dies at the Nth put, get, look or transaction, and another goes on."""
    lost = 1
    for turn in range(1, 200):
        moved, mended = rig.put(), rig.put(placement=2)
        rig.hurt(mended, 4, 9)
        mover, mortal = rig.mover(), Mortal(turn, after=after)
        rig.set_state(lost, UP)
        lost = 2 + turn % 12
        rig.lose(lost)
        calls: list[tuple[Any, str, Any]] = [
            (host, name, getattr(host, name)) for host in rig.hosts for name in ("put", "get", "verify")
        ]
        calls.append((rig.writer, "submit", rig.writer.submit))
        for owner, name, call in calls:
            setattr(owner, name, mortal.wrap(call))
        try:
            await rig.run(mover)
        except Died:
            pass
        finally:
            for owner, name, call in calls:
                setattr(owner, name, call)
        heir = rig.mover()
        rig.clock.advance(AT_ONCE.away + 0.1)
        await rig.run(heir)
        for blob in (moved, mended):
            assert rig.good(blob) == WIDTH, turn
        rig.set_state(lost, UP)
        await rig.clean()
        assert [rig.copies(blob) for blob in (moved, mended)] == [WIDTH, WIDTH], turn
        assert repairs.count(rig.reader) == 0
        for blob in (moved, mended):
            rig.delete(blob)
        await rig.clean()
        if not mortal.died:
            assert turn > 8, "it does more than that"
            return
    raise AssertionError("the mover never came to its end")
