"""Several movers on one database: each its share, none done twice, and what one leaves another takes over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cyxcloud.core.ids import BlobId, PlacementId, ShardId
from cyxcloud.core.worker import Did
from cyxcloud.meta import leases, placements, repairs, strays
from cyxcloud.meta.errors import LeaseLost
from cyxcloud.meta.rows import UP
from fleet.mover.shares import ALL_SHARES, PLANNING, PREFIX, SHARES, Shares, Wanted, share_of, wanted
from fleet.mover.worker import Mover
from tests.unit.fleet.mover.conftest import WIDTH, MoverRig

LEASE = 20.0
BEAT = 5.0


# Deciding


def test_wanted_alone_is_everything() -> None:
    found = wanted("a", [], [*ALL_SHARES, PLANNING], [])
    assert set(found.take) == {*ALL_SHARES, PLANNING}
    assert wanted("a", found.take, [], ["a"]) == Wanted()


@pytest.mark.parametrize("movers", [2, 3, 5, 16, 20])
def test_wanted_divides_all_shares_fairly(movers: int) -> None:
    """Whoever comes last gets its part once the others have let go."""
    names = [f"m{number:02}" for number in range(movers)]
    held: dict[str, set[str]] = {name: set() for name in names}
    held[names[0]] = {*ALL_SHARES, PLANNING}
    for _ in range(2):
        for name in names:
            free = {*ALL_SHARES, PLANNING}.difference(*held.values())
            found = wanted(name, held[name], free, names)
            held[name] = held[name].difference(found.release) | set(found.take)
    counts = [len(each - {PLANNING}) for each in held.values()]
    assert sum(counts) == SHARES
    assert max(counts) - min(counts) <= 1
    assert sum(PLANNING in each for each in held.values()) == 1
    assert all(wanted(name, held[name], [], names) == Wanted() for name in names), "and it stays so"


# Movers


@dataclass(slots=True)
class Box:
    shares: Shares
    mover: Mover


def box(rig: MoverRig, name: str) -> Box:
    shares = Shares(rig.reader, rig.writer, name, LEASE)
    return Box(shares, rig.mover(shares=shares))


async def beat(rig: MoverRig, *boxes: Box, times: int = 3) -> None:
    for _ in range(times):
        for each in boxes:
            await each.shares.step(rig.clock.monotonic())
        rig.clock.advance(BEAT)


async def run(rig: MoverRig, *boxes: Box) -> None:
    """Side by side, until all are idle."""
    busy = True
    while busy:
        done = await asyncio.gather(*(each.mover.step(rig.clock.monotonic()) for each in boxes))
        busy = any(isinstance(each, Did) for each in done)


def many(rig: MoverRig) -> list[BlobId]:
    return [rig.put_on(*(1 + (at + each) % 20 for each in range(WIDTH))) for at in range(24)]


def count_puts(rig: MoverRig) -> Counter[ShardId]:
    puts: Counter[ShardId] = Counter()
    for host in rig.hosts:
        put = host.put

        async def counted(*args: Any, put: Any = put, **options: Any) -> Any:
            puts.update(ShardId(args[0].blob, args[0].chunk, index) for index in args[0].indexes)
            return await put(*args, **options)

        host.put = counted  # type: ignore[method-assign]
    return puts


async def test_two_movers_share_the_work_and_do_nothing_twice(rig: MoverRig) -> None:
    one, two = box(rig, "one"), box(rig, "two")
    blobs = many(rig)
    for blob in blobs[::3]:
        rig.hurt(blob, 1)
    await beat(rig, one, two)
    assert len(one.shares.held) - (one.shares.planning is not None) == len(two.shares.held) == SHARES // 2 + 1
    puts = count_puts(rig)
    rig.lose(3)
    await run(rig, one, two)
    assert [rig.good(blob) for blob in blobs] == [WIDTH] * len(blobs)
    assert max(puts.values()) == 1, "no shard was written twice"
    assert one.mover.tally.done > 0
    assert two.mover.tally.done > 0
    assert repairs.count(rig.reader) == 0


async def test_what_a_killed_mover_held_is_taken_over_when_its_beat_stood_still(rig: MoverRig) -> None:
    one, two = box(rig, "one"), box(rig, "two")
    blobs = many(rig)
    await beat(rig, one, two)
    rig.lose(3)
    await beat(rig, two, times=2)
    await run(rig, two)
    assert two.shares.planning is None
    assert any(rig.good(blob) < WIDTH for blob in blobs), "one has its lease still"
    await beat(rig, two, times=6)
    assert {*two.shares.held} == {*ALL_SHARES, PLANNING, f"{PREFIX}of/two"}
    await run(rig, two)
    assert [rig.good(blob) for blob in blobs] == [WIDTH] * len(blobs)


async def test_a_mover_that_was_paused_cannot_commit(rig: MoverRig) -> None:
    """It has put its shards, sleeps, and wakes when another has done its work and the nodes have changed again."""
    one, two = box(rig, "one"), box(rig, "two")
    blob = rig.put()
    await beat(rig, one, times=1)
    rig.lose(2)
    held = dict(one.shares.held)
    planned = await one.mover.step(rig.clock.monotonic())
    assert isinstance(planned, Did)
    asleep = box(rig, "one")
    asleep.shares._held = held  # its life before: what it was told when it went to sleep
    await beat(rig, two, times=8)
    moved_to = rig.nodes_of(blob)
    rig.lose(3)
    await run(rig, two)
    after = rig.nodes_of(blob)
    assert after != moved_to
    before = placements.read_all(rig.reader)
    rig.lose(4)
    with pytest.raises(LeaseLost):
        await asleep.mover.step(rig.clock.monotonic())
    assert placements.read_all(rig.reader) == before
    assert rig.nodes_of(blob) == after


def before_put(rig: MoverRig, happens: Callable[[], Awaitable[None]]) -> None:
    """The first time that a mover is about to put shards."""
    pending = [happens]
    for host in rig.hosts:
        put = host.put

        async def late(*args: Any, put: Any = put, **options: Any) -> Any:
            if pending:
                await pending.pop()()
            return await put(*args, **options)

        host.put = late  # type: ignore[method-assign]


async def test_work_that_was_under_way_when_its_share_was_taken_does_not_count(rig: MoverRig) -> None:
    """The new holder has not come to it yet, so that nothing but the fence speaks against it."""
    one, two = box(rig, "one"), box(rig, "two")
    blob = rig.put()
    await beat(rig, one, times=1)

    async def taken_over() -> None:
        await beat(rig, two, times=8)

    before_put(rig, taken_over)
    rig.lose(2)
    await one.mover.step(rig.clock.monotonic())
    assert rig.nodes_of(blob) == rig.members(1)
    assert one.mover.tally.done == 0
    assert strays.count(rig.reader) == 0, "what it has put is where the new holder will look for it"
    await run(rig, two)
    assert rig.good(blob) == WIDTH
    rig.set_state(2, UP)
    await rig.clean()
    assert rig.copies(blob) == WIDTH


async def test_what_a_paused_mover_puts_for_a_chunk_that_is_gone_goes_too(rig: MoverRig) -> None:
    one, two = box(rig, "one"), box(rig, "two")
    blob = rig.put()
    await beat(rig, one, times=1)

    async def taken_over_and_deleted() -> None:
        await beat(rig, two, times=8)
        rig.delete(blob)
        await rig.clean()

    before_put(rig, taken_over_and_deleted)
    rig.lose(2)
    await one.mover.step(rig.clock.monotonic())
    rig.set_state(2, UP)
    await rig.clean()
    assert (rig.copies(blob), strays.count(rig.reader)) == (0, 0)


async def test_a_mover_started_again_takes_its_own_at_once(rig: MoverRig) -> None:
    first = box(rig, "one")
    await beat(rig, first, times=1)
    again = box(rig, "one")
    await beat(rig, again, times=1)
    assert len(again.shares.held) == SHARES + 2
    await first.shares.step(rig.clock.monotonic())
    fences = {row.name: row.fence for row in leases.read_all(rig.reader, PREFIX)}
    assert min(fences.values()) > 1


async def test_released_shares_are_taken_without_waiting(rig: MoverRig) -> None:
    one, two = box(rig, "one"), box(rig, "two")
    await beat(rig, one, two)
    await one.shares.release()
    await beat(rig, two, times=1)
    assert two.shares.planning is not None
    assert share_of(PlacementId(1)) in two.shares.held
