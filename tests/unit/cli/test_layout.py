"""Node counts and profiles of a new store."""

from __future__ import annotations

from collections import Counter

import pytest

from cli.layout import LayoutError, plan
from cyxcloud.core.profile import Profile


@pytest.mark.parametrize(
    ("disks", "profile", "nodes"),
    [(1, "10+4", 16), (2, "4+4", 16), (3, "8+4", 18), (4, "10+4", 20), (7, "10+4", 21), (14, "10+4", 28)],
)
def test_default_layout(disks: int, profile: str, nodes: int) -> None:
    layout = plan(disks)
    assert layout.profile == Profile.parse(profile)
    assert len(layout.nodes) == nodes


@pytest.mark.parametrize("disks", range(2, 15))
def test_losing_a_disk_leaves_enough_nodes_to_write(disks: int) -> None:
    layout = plan(disks)
    per_disk = Counter(node.disk for node in layout.nodes)
    assert len(layout.nodes) - max(per_disk.values()) >= layout.profile.n


@pytest.mark.parametrize("disks", range(2, 15))
def test_shards_of_one_disk_never_exceed_parity(disks: int) -> None:
    layout = plan(disks)
    assert -(-layout.profile.n // disks) <= layout.profile.m


def test_names_are_unique_and_sort_in_order() -> None:
    names = [node.name for node in plan(1, nodes=120).nodes]
    assert names == sorted(set(names))
    assert plan(1).nodes[0].name == "node-01"


def test_given_profile_and_nodes_are_taken() -> None:
    layout = plan(1, Profile(2, 1), 3)
    assert (layout.profile, len(layout.nodes)) == (Profile(2, 1), 3)


def test_too_few_nodes_are_refused_with_the_remedy() -> None:
    with pytest.raises(LayoutError, match=r"^nodes: 10 cannot hold the 14 shards of 10\+4.*--nodes 14"):
        plan(1, nodes=10)


def test_no_nodes_at_all_are_a_fleets_store() -> None:
    layout = plan(1, nodes=0)
    assert (layout.profile, layout.nodes) == (Profile(10, 4), ())
