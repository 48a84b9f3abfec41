from __future__ import annotations

from cyxcloud.core.ids import BlobId, NodeId, ShardId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import repairs
from cyxcloud.wire.status import Status
from fleet import findings
from fleet.findings import Findings
from tests.unit.fleet.conftest import Fleet


def found(fleet: Fleet, node: int, *numbers: int) -> NodeId:
    node_id = fleet.rows[node - 1].node_id
    fleet.host_of(node).found[node_id] += [ShardId(BlobId(5), number, 1) for number in numbers]
    return node_id


def filed(fleet: Fleet) -> list[tuple[int, str]]:
    return [(row.chunk, row.reason) for row in repairs.page(fleet.reader)]


async def settle(worker: Findings) -> list[Did | Idle]:
    done = [await worker.step(0.0)]
    while isinstance(done[-1], Did):
        done.append(await worker.step(0.0))
    return done


async def test_what_nodes_found_is_filed_and_only_once(fleet: Fleet) -> None:
    worker = Findings(fleet.hosts, fleet.writer, fleet.store_clock)
    assert await settle(worker) == [Idle(findings.ASK_SECONDS)]
    found(fleet, 1, 1, 2)
    found(fleet, 4, 3)
    assert [each.count for each in await settle(worker) if isinstance(each, Did)] == [3]
    assert filed(fleet) == [(1, "scrub"), (2, "scrub"), (3, "scrub")]
    repairs_done = [(row.blob, row.chunk, row.shard_index) for row in repairs.page(fleet.reader)]
    await fleet.writer.submit(lambda conn: [repairs.remove(conn, *each) for each in repairs_done])
    await settle(worker)
    assert filed(fleet) == []
    found(fleet, 1, 9)
    await settle(worker)
    assert filed(fleet) == [(9, "scrub")]


async def test_new_coordinator_files_everything_again_without_harm(fleet: Fleet) -> None:
    found(fleet, 2, 1, 2)
    for _ in range(2):
        await settle(Findings(fleet.hosts, fleet.writer, fleet.store_clock))
        assert filed(fleet) == [(1, "scrub"), (2, "scrub")]


async def test_many_findings_are_filed_by_pages(fleet: Fleet) -> None:
    found(fleet, 1, *range(5))
    done = await settle(Findings(fleet.hosts, fleet.writer, fleet.store_clock, page=2))
    assert [each.count for each in done if isinstance(each, Did)] == [2, 2, 1]
    assert len(filed(fleet)) == 5


async def test_host_that_does_not_answer_keeps_no_others_findings_back(fleet: Fleet) -> None:
    worker = Findings(fleet.hosts, fleet.writer, fleet.store_clock)
    found(fleet, 1, 1)
    node = found(fleet, 4, 2)
    fleet.hosts[0].available = False
    fleet.host_of(4).state[fleet.rows[2].node_id] = Status.DOWN
    await settle(worker)
    assert filed(fleet) == [(2, "scrub")]
    fleet.hosts[0].available = True
    await settle(worker)
    assert filed(fleet) == [(1, "scrub"), (2, "scrub")]
    assert node
