"""What losing more would mean."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from cli import survival as cli_survival
from cli.survival import Survival
from cyxcloud.core.ids import NodeId, NodeNumber, PlacementId
from cyxcloud.meta.rows import NodeRow, PlacementRow, PlacementState

survival = partial(cli_survival.survival, metadata_disks=9)


def node(number: int, disk: str, state: str = "up") -> NodeRow:
    return NodeRow(
        NodeNumber(number), NodeId(bytes(32)), str(number), "", "local", disk, "", "", state, "", 0, 0, 0, 0, 0, 0
    )


def placement(m: int, *numbers: int, state: PlacementState = PlacementState.OPEN) -> PlacementRow:
    members = tuple(NodeNumber(number) for number in numbers)
    return PlacementRow(PlacementId(1), len(numbers) - m, m, members, state, None)


def test_all_up_survives_parity() -> None:
    nodes = [node(number, "a") for number in range(6)]
    assert survival(nodes, [placement(2, 0, 1, 2, 3, 4)]) == Survival(2, 0)


def test_spread_over_disks_survives_a_disk() -> None:
    nodes = [node(number, "abc"[number % 3]) for number in range(6)]
    assert survival(nodes, [placement(2, *range(6))]) == Survival(2, 1)


def test_node_that_is_down_counts_as_lost() -> None:
    nodes = [node(number, "abc"[number % 3], "down" if number == 0 else "up") for number in range(6)]
    assert survival(nodes, [placement(2, *range(6))]) == Survival(1, 0)
    assert survival(nodes, [placement(2, 1, 2, 3, 4)]) == Survival(2, 1)


def test_full_node_is_not_lost() -> None:
    nodes = [node(number, "abc"[number % 3], "read-only" if number == 0 else "up") for number in range(6)]
    assert survival(nodes, [placement(2, *range(6))]) == Survival(2, 1)


def test_worst_placement_decides_and_replaced_ones_do_not_count() -> None:
    nodes = [node(number, str(number), "down" if number < 3 else "up") for number in range(8)]
    lists = [placement(2, 3, 4, 5, 6), placement(2, 0, 1, 2, 3, 4), placement(1, 0, 1, 2, 3)]
    assert survival(nodes, lists[:1]) == Survival(2, 2)
    assert survival(nodes, lists[:2]) == Survival(0, 0)
    assert survival(nodes, [lists[0], placement(2, 0, 1, 2, 3, 4, state=PlacementState.REPLACED)]) == Survival(2, 2)


def test_placements_count_that_hold_chunks_though_they_take_none() -> None:
    """Lost nodes whose chunks have not moved yet are no better for having a successor."""
    nodes = [node(number, str(number), "gone" if number < 2 else "up") for number in range(8)]
    old = placement(2, 0, 1, 2, 3, 4, state=PlacementState.REPLACED)
    fine = replace(placement(2, 3, 4, 5, 6, 7), id=PlacementId(2))
    assert survival(nodes, [old, fine]) == Survival(2, 2)
    assert survival(nodes, [old, fine], {old.id: 0}) == Survival(0, 0)


def test_shards_that_wait_for_repair_count_as_lost() -> None:
    nodes = [node(number, str(number)) for number in range(5)]
    lists = [placement(2, 0, 1, 2, 3, 4)]
    assert survival(nodes, lists, {lists[0].id: 1}) == Survival(1, 1)
    assert survival(nodes, lists, {lists[0].id: 3}) == Survival(0, 0)


def test_store_without_placements_survives_nothing() -> None:
    assert survival([], []) == Survival(0, 0)


def test_metadata_on_one_disk_survives_none_whatever_the_shards_do() -> None:
    nodes = [node(number, "abc"[number % 3]) for number in range(6)]
    assert cli_survival.survival(nodes, [placement(2, *range(6))], metadata_disks=0) == Survival(2, 0)


def test_nodes_on_other_boxes_also_tell_of_hosts_operators_and_zones() -> None:
    nodes = [
        replace(
            node(number, f"d{number}"),
            public_key=b"k" * 32,
            host=f"h{number}",
            operator=f"o{number // 2}",
            zone="z",
        )
        for number in range(6)
    ]
    found = survival(nodes, [placement(2, *range(6))])
    assert found == Survival(2, 2, 2, 1, 0)
    assert str(found) == "2 nodes, 2 disks, 2 hosts, 1 operator, 0 zones"


def test_one_box_tells_of_nodes_and_disks_alone() -> None:
    assert str(Survival(4, 1)) == "4 nodes, 1 disk"
