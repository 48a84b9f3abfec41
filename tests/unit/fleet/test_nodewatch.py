from __future__ import annotations

from dataclasses import replace

import pytest

from cyxcloud.core.ids import NodeId
from cyxcloud.core.worker import Idle
from cyxcloud.meta import cluster, nodes, placements
from cyxcloud.meta.rows import PlacementState
from cyxcloud.wire.memory import MemoryHost
from cyxcloud.wire.shardhost import NodeInfo
from cyxcloud.wire.status import NodeState, Status
from fleet.nodewatch import FIRST_LOOK_SECONDS, PATIENCE_SECONDS, WATCH_SECONDS, NodeWatch
from tests.unit.fleet.conftest import Fleet


@pytest.fixture
def watch(fleet: Fleet) -> NodeWatch:
    return NodeWatch(fleet.hosts, fleet.reader, fleet.writer, fleet.store_clock)


def open_pools(fleet: Fleet) -> list[tuple[int, ...]]:
    return [row.nodes for row in placements.read_all(fleet.reader) if row.state is PlacementState.OPEN]


def topology(fleet: Fleet) -> int:
    return cluster.epochs(fleet.reader).topology


async def test_all_well_changes_nothing_but_the_sizes(fleet: Fleet, watch: NodeWatch) -> None:
    before = topology(fleet)
    assert await watch.step(5.0) == Idle(5.0 + WATCH_SECONDS)
    assert (fleet.states(), topology(fleet)) == (["up"] * 4, before)
    assert all(row.total_bytes == 1 << 40 for row in nodes.read_all(fleet.reader))


async def test_a_node_that_goes_down_is_out_of_the_pool_and_comes_back(fleet: Fleet, watch: NodeWatch) -> None:
    await watch.step(0.0)
    before = topology(fleet)
    fleet.host_of(2).state[fleet.rows[1].node_id] = Status.IO_ERROR
    await watch.step(1.0)
    assert fleet.states() == ["up", "down", "up", "up"]
    assert nodes.read_all(fleet.reader)[1].reason == "IO_ERROR"
    assert topology(fleet) > before
    assert open_pools(fleet)
    assert not any(2 in members for members in open_pools(fleet))
    fleet.host_of(2).state.clear()
    await watch.step(2.0)
    assert fleet.states() == ["up"] * 4
    assert any(2 in members for members in open_pools(fleet))


async def test_a_host_that_is_gone_takes_its_nodes_along(fleet: Fleet, watch: NodeWatch) -> None:
    await watch.step(0.0)
    fleet.hosts[1].available = False
    await watch.step(1.0)
    assert fleet.states() == ["up", "up", "down", "down"]
    assert nodes.read_all(fleet.reader)[3].reason == "its host does not answer"


async def test_a_folder_that_is_missing_at_its_hosts_start_is_lost_by_its_name(fleet: Fleet) -> None:
    class Missing(MemoryHost):
        async def stats(self) -> list[NodeInfo]:
            first, second = await super().stats()
            return [
                first,
                replace(second, node_id=NodeId(b""), name="n2", state=NodeState.LOST, reason="no node here"),
            ]

    host = Missing(list(fleet.hosts[0].identities.values()))
    watch = NodeWatch((host, fleet.hosts[1]), fleet.reader, fleet.writer, fleet.store_clock)
    await watch.step(0.0)
    assert fleet.states() == ["up", "lost", "up", "up"]
    assert nodes.read_all(fleet.reader)[1].reason == "no node here"


async def test_with_too_few_nodes_the_last_pool_stays(fleet: Fleet, watch: NodeWatch) -> None:
    await watch.step(0.0)
    before = open_pools(fleet)
    for host in fleet.hosts:
        host.available = False
    await watch.step(1.0)
    assert (fleet.states(), open_pools(fleet)) == (["down"] * 4, before)


async def test_hosts_that_start_as_well_are_waited_for(fleet: Fleet, watch: NodeWatch) -> None:
    fleet.hosts[1].available = False
    assert await watch.step(100.0) == Idle(100.0 + FIRST_LOOK_SECONDS)
    assert fleet.states() == ["up"] * 4
    await watch.step(100.0 + PATIENCE_SECONDS)
    assert fleet.states() == ["up", "up", "down", "down"]


async def test_a_pool_is_reused_when_nodes_come_and_go(fleet: Fleet, watch: NodeWatch) -> None:
    """Placements are kept for ever by the chunks in them; a node that flaps must not make new ones each time."""
    fleet.host_of(2).state[fleet.rows[1].node_id] = Status.IO_ERROR
    await watch.step(0.0)
    fleet.host_of(2).state.clear()
    await watch.step(1.0)
    count = len(placements.read_all(fleet.reader))
    for turn in range(2, 10):
        fleet.host_of(2).state.update({fleet.rows[1].node_id: Status.IO_ERROR} if turn % 2 else {})
        if not turn % 2:
            fleet.host_of(2).state.clear()
        await watch.step(float(turn))
    assert len(placements.read_all(fleet.reader)) == count
