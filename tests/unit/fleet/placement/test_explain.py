from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from cyxcloud.core.ids import NodeId, NodeNumber, PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.meta.rows import VETTING, NodeRow, PlacementRow, PlacementState
from fleet.placement.explain import UNKNOWN_NODE, Explained, Scene, explain
from tests.unit.fleet.placement.test_candidate import LOCAL, REMOTE

TWO_ONE = Profile(2, 1)


def node(number: int, **changes: object) -> NodeRow:
    apart = replace(REMOTE, number=NodeNumber(number), node_id=NodeId(bytes([number]) * 32), name=f"n{number}")
    apart = replace(apart, address=f"10.0.{number}.1:1", host=f"h{number}", disk=f"d{number}", operator=f"o{number}")
    return replace(replace(apart, zone=f"z{number}"), **changes)  # type: ignore[arg-type]


def explained(rows: Sequence[NodeRow], *members: int) -> Explained:
    scene = Scene.of(rows, [TWO_ONE], random.Random(1))
    nodes = tuple(NodeNumber(each) for each in members)
    return explain(scene, PlacementRow(PlacementId(9), 2, 1, nodes, PlacementState.OPEN, None))


def states(found: Explained) -> dict[str, str]:
    return {rule.rule: rule.state for rule in found.rules}


def test_nodes_that_share_nothing_keep_every_rule_and_survive_one_of_each_kind() -> None:
    found = explained([node(each) for each in range(1, 6)], 1, 2, 3)
    assert set(states(found).values()) == {"holds"}
    assert set(found.survives.values()) == {1}
    assert [shard.kind for shard in found.shards] == ["data", "data", "parity"]
    assert "1 of 1 in operator o1" in found.shards[0].why


def test_a_rule_that_todays_nodes_cannot_keep_is_relaxed() -> None:
    found = explained([node(each, operator=f"o{each % 2}") for each in range(1, 6)], 1, 2, 3)
    assert states(found) | {"operator": "relaxed"} == states(found)
    [rule] = [rule for rule in found.rules if rule.rule == "operator"]
    assert (rule.wished, rule.cap, rule.most, rule.where) == (1, 2, 2, "o1")
    assert found.survives["operators"] == 0


def test_a_placement_that_todays_nodes_could_better_breaks_the_rule() -> None:
    rows = [node(each) for each in range(1, 6)]
    rows[1] = node(2, operator="o1")
    assert states(explained(rows, 1, 2, 3))["operator"] == "broken"


def test_what_speaks_against_new_shards_is_said() -> None:
    rows = [
        node(1, leaving=True),
        node(2, state="down", reason="sends no heartbeats"),
        node(3, standing="suspended"),
        node(4, standing=VETTING),
    ]
    shards = explained(rows, 1, 2, 3).shards
    assert "being drained" in shards[0].why
    assert "down sends no heartbeats" in shards[1].why
    assert "suspended" in shards[2].why
    assert not any(shard.takes_writes for shard in shards)
    assert explained(rows, 1, 2, 4).shards[2].takes_writes


def test_a_node_that_cannot_be_read_is_lost_already() -> None:
    rows = [node(each) for each in range(1, 6)]
    rows[0] = node(1, state="down")
    found = explained(rows, 1, 2, 3)
    assert (found.readable, set(found.survives.values())) == (2, {0})


def test_a_node_that_no_row_tells_of_is_named_by_its_number() -> None:
    shard = explained([node(each) for each in range(1, 6)], 1, 2, 77).shards[2]
    assert (shard.node, shard.why) == ("node 77", UNKNOWN_NODE)


def test_nodes_of_this_box_share_their_host_and_disk() -> None:
    rows = [replace(LOCAL, number=NodeNumber(each), node_id=NodeId(bytes([each]) * 32)) for each in range(1, 4)]
    found = explained(rows, 1, 2, 3)
    assert (states(found)["host"], states(found)["disk"], states(found)["operator"]) == ("relaxed", "relaxed", "holds")
