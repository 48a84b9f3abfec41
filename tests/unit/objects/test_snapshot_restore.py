"""Which pointer is followed, and what is not believed on the way. The rest is in tests/unit/fleet and tests/fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from cyxcloud.core.ids import ShardId
from cyxcloud.meta.snapshot_pointer import Pointer, write_pointer
from cyxcloud.objects.at_rest import RestingShard, Unreadable
from cyxcloud.objects.snapshot_restore import newest_first, read_manifest
from tests.unit.meta.test_snapshot_pointer import MASTER, OTHER, pointer

CLUSTER = b"c" * 16


class Nothing:
    """Nodes without a shard."""

    def find(self, shard: ShardId) -> Iterator[RestingShard]:
        yield from ()


def numbered(sequence: int, **more: int) -> Pointer:
    return replace(pointer(), sequence=sequence, **more)  # type: ignore[arg-type]


def test_newest_first_orders_by_number_then_time_and_names_each_once() -> None:
    late, early = numbered(8, taken_at_ms=20), numbered(8, taken_at_ms=10)
    given = [numbered(3), early, numbered(1007), late, numbered(3)]
    found = newest_first([write_pointer(each, MASTER) for each in given], MASTER, CLUSTER)
    assert found == [numbered(1007), late, early, numbered(3)]


def test_newest_first_passes_over_what_is_damaged_or_not_ours() -> None:
    """Fails where a pointer's MAC, or whose store it is of, is not looked at."""
    whole = write_pointer(numbered(3), MASTER)
    forged = bytearray(write_pointer(numbered(9), MASTER))
    forged[50] ^= 1
    given = [
        b"",
        whole[:-1],
        bytes(forged),
        write_pointer(numbered(99), OTHER),
        write_pointer(replace(numbered(98), cluster_id=b"x" * 16), MASTER),
        whole,
    ]
    assert newest_first(given, MASTER, CLUSTER) == [numbered(3)]


def test_read_manifest_that_is_nowhere_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="0 good shards of the 10"):
        read_manifest(Nothing(), pointer(), MASTER)


def test_read_manifest_under_another_master_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="does not open"):
        read_manifest(Nothing(), pointer(), OTHER)
