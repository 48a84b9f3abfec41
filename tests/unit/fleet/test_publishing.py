"""Pools in the database: one a profile, by what audits say of the nodes as well."""

from __future__ import annotations

import random
from dataclasses import replace

from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.profile import Profile
from cyxcloud.meta import node_scores, nodes, placements, profiles
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.node_scores import ScoreRow
from cyxcloud.meta.rows import NodeRow, PlacementState
from fleet.publishing import lacks_a_pool, publish_pools, reputations
from tests.unit.fleet.conftest import Fleet, K, M
from tests.unit.fleet.placement.test_explain import node

OWN, OTHER = Profile(K, M), Profile(1, 1)


def opened(conn: Connection) -> dict[Profile, list[tuple[NodeNumber, ...]]]:
    found: dict[Profile, list[tuple[NodeNumber, ...]]] = {}
    for row in placements.read_all(conn):
        if row.state is PlacementState.OPEN:
            found.setdefault(Profile(row.k, row.m), []).append(row.nodes)
    return found


def publish(fleet: Fleet, rows: list[NodeRow] | None = None) -> None:
    fleet.writer.call(lambda conn: publish_pools(conn, rows or nodes.read_all(conn), random.Random(1)))


def test_each_profile_of_a_class_gets_a_pool_and_one_of_none_is_closed(fleet: Fleet) -> None:
    fleet.writer.call(lambda conn: profiles.set_classes(conn, {"GLACIER": OTHER}))
    assert lacks_a_pool(fleet.reader)
    publish(fleet)
    assert opened(fleet.reader).keys() == {OWN, OTHER}
    assert not lacks_a_pool(fleet.reader)
    fleet.writer.call(lambda conn: profiles.set_classes(conn, {}))
    publish(fleet)
    assert opened(fleet.reader).keys() == {OWN}


def test_a_profile_that_nodes_are_too_few_for_hinders_no_other(fleet: Fleet) -> None:
    fleet.writer.call(lambda conn: profiles.set_classes(conn, {"GLACIER": Profile(10, 4)}))
    publish(fleet)
    assert opened(fleet.reader).keys() == {OWN}
    assert lacks_a_pool(fleet.reader)


def test_a_node_that_failed_audits_is_in_fewer_open_lists(fleet: Fleet) -> None:
    rows = [replace(node(each), zone="") for each in range(1, 31)]
    publish(fleet, rows)
    before = sum(1 in each for each in opened(fleet.reader)[OWN])
    fleet.writer.call(lambda conn: node_scores.save(conn, ScoreRow(NodeNumber(1), 970_000_000, 30_000_000)))
    assert reputations(fleet.reader) == {NodeNumber(1): 0.97}
    publish(fleet, rows)
    after = sum(1 in each for each in opened(fleet.reader)[OWN])
    assert 0 < after < 0.6 * before
