from __future__ import annotations

from mmap import PAGESIZE

import pytest

from cyxcloud.shards.slots import Slots


def test_the_lowest_free_slot_is_taken() -> None:
    slots = Slots(10 * PAGESIZE)
    one, two, three = (slots.take(size) for size in (PAGESIZE + 1, 10, 3 * PAGESIZE))
    assert [slot.offset // PAGESIZE for slot in (one, two, three)] == [0, 2, 3]
    assert [len(slot.view) for slot in (one, two, three)] == [PAGESIZE + 1, 10, 3 * PAGESIZE]
    one.release()
    assert slots.take(3 * PAGESIZE).offset == 6 * PAGESIZE
    assert slots.take(2 * PAGESIZE).offset == 0


def test_slots_are_parts_of_one_memory() -> None:
    slots = Slots(4 * PAGESIZE)
    slots.take(PAGESIZE)
    slot = slots.take(4)
    slot.view[:] = b"here"
    assert slot.memory is not None
    assert bytes(slot.memory.view[PAGESIZE : PAGESIZE + 4]) == b"here"


def test_without_room_a_slot_is_private() -> None:
    slots = Slots(2 * PAGESIZE)
    slots.take(PAGESIZE)
    for size in (2 * PAGESIZE, 3 * PAGESIZE):
        private = slots.take(size)
        assert (private.memory, len(private.view)) == (None, size)
        private.release()
    assert Slots().take(10).memory is None


def test_a_slot_is_free_when_its_last_holder_lets_go() -> None:
    slots = Slots(PAGESIZE)
    slot = slots.take(1)
    slot.hold()
    slot.release()
    assert slots.take(1).memory is None
    slot.release()
    assert slots.take(1).memory is not None
    with pytest.raises(AssertionError):
        slot.release()


def test_memory_that_was_lost_to_a_host_is_never_given_out_again() -> None:
    slots = Slots(PAGESIZE)
    lost = slots.take(1)
    lost.lose()
    lost.release()
    other = slots.take(1)
    assert other.memory is not None
    assert other.memory is not lost.memory
