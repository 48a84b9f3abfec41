from __future__ import annotations

import asyncio

import pytest

from cyxcloud.shards.budget import ByteBudget


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_reserve_waits_until_there_is_room() -> None:
    budget = ByteBudget(10)
    await budget.reserve(8)
    waiting = asyncio.create_task(budget.reserve(3))
    await settled()
    assert not waiting.done()
    budget.release(8)
    await waiting
    assert budget.used == 3


async def test_waiters_are_served_in_order_though_a_later_one_would_fit() -> None:
    budget = ByteBudget(10)
    await budget.reserve(8)
    big = asyncio.create_task(budget.reserve(9))
    small = asyncio.create_task(budget.reserve(1))
    await settled()
    assert not budget.try_reserve(1)
    assert not small.done()
    budget.release(8)
    await asyncio.gather(big, small)
    assert budget.used == 10


async def test_more_than_the_limit_is_let_in_alone() -> None:
    budget = ByteBudget(10)
    async with budget.hold(1000):
        assert budget.used == 10
        assert not budget.try_reserve(1)
    assert budget.used == 0


async def test_a_cancelled_waiter_leaves_the_line() -> None:
    budget = ByteBudget(10)
    await budget.reserve(10)
    gone = asyncio.create_task(budget.reserve(10))
    after = asyncio.create_task(budget.reserve(4))
    await settled()
    gone.cancel()
    await settled()
    budget.release(10)
    await after
    assert budget.used == 4


async def test_cancelling_the_first_in_line_lets_the_next_in() -> None:
    budget = ByteBudget(10)
    await budget.reserve(5)
    first = asyncio.create_task(budget.reserve(6))
    second = asyncio.create_task(budget.reserve(5))
    await settled()
    first.cancel()
    await asyncio.wait_for(second, 10)
    assert budget.used == 10


async def test_cancelled_in_the_moment_of_being_granted_gives_back() -> None:
    budget = ByteBudget(10)
    await budget.reserve(10)
    waiting = asyncio.create_task(budget.reserve(10))
    await settled()
    budget.release(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.used == 0


async def test_hold_gives_back_after_an_error() -> None:
    budget = ByteBudget(10)
    with pytest.raises(KeyError):
        async with budget.hold(4):
            raise KeyError
    assert budget.used == 0


def test_releasing_what_was_not_reserved_is_a_fault() -> None:
    with pytest.raises(AssertionError):
        ByteBudget(10).release(1)
