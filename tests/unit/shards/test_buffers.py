from __future__ import annotations

from cyxcloud.shards.buffers import SMALLEST_BYTES, BufferPool

SIZE = 2 * SMALLEST_BYTES


def test_a_buffer_of_just_this_size_is_used_again() -> None:
    pool = BufferPool(4 * SIZE)
    one, other = pool.take(SIZE), pool.take(SIZE + 1)
    assert (len(one), len(other)) == (SIZE, SIZE + 1)
    pool.give(one)
    pool.give(other)
    assert pool.take(SIZE) is one
    assert pool.take(SIZE) is not one
    assert pool.take(SIZE + 1) is other


def test_the_one_given_last_is_taken_first() -> None:
    pool = BufferPool(4 * SIZE)
    first, last = pool.take(SIZE), pool.take(SIZE)
    pool.give(first)
    pool.give(last)
    assert pool.take(SIZE) is last


def test_no_more_is_kept_than_may_lie_idle() -> None:
    pool = BufferPool(2 * SIZE)
    made = [pool.take(SIZE) for _ in range(3)]
    for buffer in made:
        pool.give(buffer)
    kept = [pool.take(SIZE) for _ in range(3)]
    assert kept[:2] == [made[2], made[1]]
    assert kept[2] is not made[0]
    assert kept[0] is made[2]


def test_small_buffers_and_those_beyond_all_room_are_not_kept() -> None:
    pool = BufferPool(SIZE)
    for size in (SMALLEST_BYTES - 1, SIZE + 1):
        buffer = pool.take(size)
        pool.give(buffer)
        assert pool.take(size) is not buffer
    fits = pool.take(SIZE)
    pool.give(fits)
    assert pool.take(SIZE) is fits
