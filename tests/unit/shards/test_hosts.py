from __future__ import annotations

from cyxcloud.core.clock import ManualClock
from cyxcloud.shards.hosts import AVOID_SECONDS, HostMap
from cyxcloud.wire.memory import MemoryHost
from cyxcloud.wire.status import Status


def test_groups_shards_by_host_in_order() -> None:
    one, two = MemoryHost(2), MemoryHost(2)
    a, b = one.nodes
    c, d = two.nodes
    hosts = HostMap(ManualClock(), [one, two])
    groups = hosts.group((a, c, b, d), (0, 1, 2, 3))
    assert [(group.host, group.indexes, group.nodes) for group in groups] == [
        (one, (0, 2), (a, b)),
        (two, (1, 3), (c, d)),
    ]
    assert hosts.group((a, c, b, d), (0, 1, 2, 3)) is groups


def test_a_node_that_no_host_serves_is_left_out() -> None:
    one, gone = MemoryHost(1), MemoryHost(1)
    (node,), (unknown,) = one.nodes, gone.nodes
    hosts = HostMap(ManualClock(), [one])
    assert [group.indexes for group in hosts.group((unknown, node), (0, 1))] == [(1,)]
    assert hosts.host(unknown) is None
    hosts.assign([one, gone])
    assert [group.indexes for group in hosts.group((unknown, node), (0, 1))] == [(0,), (1,)]


def test_a_failed_node_is_avoided_for_a_while() -> None:
    clock, host = ManualClock(), MemoryHost(2)
    bad, good = host.nodes
    hosts = HostMap(clock, [host])
    hosts.avoid_node(bad)
    assert hosts.writable == hosts.readable == {good}
    clock.advance(AVOID_SECONDS - 0.1)
    assert hosts.writable == {good}
    clock.advance(0.1)
    assert hosts.writable == hosts.readable == {bad, good}


def test_a_failed_host_is_avoided_with_all_its_nodes() -> None:
    one, two = MemoryHost(2), MemoryHost(2)
    hosts = HostMap(ManualClock(), [one, two])
    hosts.avoid_host(one)
    assert hosts.readable == set(two.nodes)


def test_a_host_whose_connection_is_gone_is_used_as_soon_as_it_is_back() -> None:
    host = MemoryHost(2)
    hosts = HostMap(ManualClock(), [host])
    host.available = False
    hosts.avoid_host(host)
    assert hosts.writable == hosts.readable == frozenset()
    host.available = True
    assert hosts.writable == hosts.readable == set(host.nodes)


def test_refresh_takes_over_what_hosts_say() -> None:
    host = MemoryHost(2)
    down, up = host.nodes
    hosts = HostMap(ManualClock(), [host])
    host.state[down] = Status.DOWN
    assert hosts.writable == {down, up}
    hosts.refresh()
    assert hosts.writable == hosts.readable == {up}
    host.available = False
    hosts.refresh()
    assert hosts.writable == hosts.readable == frozenset()
    assert hosts.host(up) is host
