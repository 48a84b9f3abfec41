from __future__ import annotations

from dataclasses import replace

import pytest

from cyxcloud.core.ids import NodeId, NodeNumber
from cyxcloud.meta.rows import DISQUALIFIED, GONE, SUSPENDED, VETTING, NodeRow
from fleet.placement.candidate import pool_candidates, subnet_of

LOCAL = NodeRow(
    number=NodeNumber(1),
    node_id=NodeId(b"1" * 32),
    name="n1",
    endpoint="",
    host="local",
    disk="/data",
    zone="",
    operator="",
    state="up",
    reason="",
    total_bytes=0,
    used_bytes=0,
    free_bytes=0,
    shard_count=0,
    seen_at_ms=0,
    joined_at_ms=0,
)
REMOTE = replace(
    LOCAL,
    number=NodeNumber(2),
    host="box",
    zone="z1",
    operator="ann",
    address="192.0.2.7:9100",
    public_key=b"k" * 32,
)


@pytest.mark.parametrize(
    ("address", "subnet"),
    [
        ("192.0.2.7:9100", "192.0.2.0/24"),
        ("[2001:db8:1:2:3::9]:9100", "2001:db8:1:2::/64"),
        ("[::ffff:192.0.2.7]:9100", "192.0.2.0/24"),
        ("node.example:9100", ""),
        ("", ""),
    ],
)
def test_subnet_of_an_address(address: str, subnet: str) -> None:
    assert subnet_of(address) == subnet


def test_a_node_of_this_box_shares_its_host_and_disk_alone() -> None:
    [found] = pool_candidates([replace(LOCAL, zone="z", operator="o")])
    assert (found.host, found.disk, found.subnet, found.operator, found.zone) == ("local", "/data", "", "", "")


def test_a_remote_node_comes_with_its_subnet_operator_and_zone() -> None:
    [found] = pool_candidates([REMOTE])
    assert (found.host, found.subnet, found.operator, found.zone) == ("box", "192.0.2.0/24", "ann", "z1")


@pytest.mark.parametrize("standing", [SUSPENDED, DISQUALIFIED])
def test_a_node_that_is_not_trusted_takes_nothing(standing: str) -> None:
    [found] = pool_candidates([replace(REMOTE, standing=standing)])
    assert not found.available


def test_a_vetting_node_takes_writes_and_says_so() -> None:
    [found] = pool_candidates([replace(REMOTE, standing=VETTING)])
    assert found.available
    assert found.vetting


def test_a_node_that_leaves_takes_nothing_and_one_that_is_gone_is_none() -> None:
    [found] = pool_candidates([replace(REMOTE, leaving=True), replace(REMOTE, state=GONE)])
    assert not found.available
