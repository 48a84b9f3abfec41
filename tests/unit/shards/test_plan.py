from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cyxcloud.core.merkle import BLOCK_BYTES, block_count
from cyxcloud.shards.frames import CHUNK_BYTES, FRAME_BYTES, SEALED_FRAME_BYTES, sealed_size
from cyxcloud.shards.plan import Window, plan_read, span


@settings(max_examples=300)
@given(st.integers(1, CHUNK_BYTES), st.sampled_from([1, 2, 4, 8, 10]), st.data())
def test_windows_hold_exactly_the_blocks_that_the_frames_need(size: int, k: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    plan = plan_read(size, k, start, end)
    assert plan.frames.start * FRAME_BYTES <= start
    assert end <= plan.frames.stop * FRAME_BYTES
    assert (len(plan.frames) - 2) * FRAME_BYTES < end - start

    first = plan.frames.start * SEALED_FRAME_BYTES
    stop = min(plan.frames.stop * SEALED_FRAME_BYTES, sealed_size(size))
    needed = {
        (at // plan.shard_size, at % plan.shard_size // BLOCK_BYTES)
        for at in (*range(first, stop, 997), stop - 1, *range(0, stop, plan.shard_size))
        if first <= at < stop
    }
    held = {(shard, block) for shard, window in plan.windows.items() for block in range(window.first, window.stop)}
    assert needed <= held
    assert all(shard < k and block < block_count(plan.shard_size) for shard, block in held)
    assert plan.wire_bytes < stop - first + 2 * BLOCK_BYTES * len(plan.windows)


def test_a_whole_chunk_takes_every_block_of_every_data_shard() -> None:
    plan = plan_read(CHUNK_BYTES, 10, 0, CHUNK_BYTES)
    assert plan.windows == dict.fromkeys(range(10), Window(0, 7))
    assert plan.wire_bytes == 10 * plan.shard_size


def test_a_range_inside_one_frame_takes_two_blocks_of_one_shard() -> None:
    plan = plan_read(CHUNK_BYTES, 10, 200_000, 200_010)
    assert plan.windows == {0: Window(3, 5)}


def test_a_small_chunk_whose_padding_fills_shards_asks_for_none_of_them() -> None:
    assert sorted(plan_read(1, 10, 0, 1).windows) == [0, 1, 2, 3, 4, 5, 6, 7, 8]


def test_span_covers_all() -> None:
    both = span([Window(3, 5), Window(0, 1)])
    assert both == Window(0, 5)
    assert both.covers(Window(3, 5))
    assert not Window(3, 5).covers(both)
