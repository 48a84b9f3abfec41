"""The S3 port's sockets."""

from __future__ import annotations

import socket

import pytest

from cli.sockets import PortTaken, bind_workers, free_port, join_address, reachable, split_address, told


def test_workers_share_one_port_and_each_listens() -> None:
    listeners = bind_workers("127.0.0.1:0", 3)
    ports = {listener.getsockname()[1] for listener in listeners}
    assert len(ports) == 1
    for _ in range(12):  # each of them accepts: no connection is refused
        socket.create_connection(("127.0.0.1", next(iter(ports))), 2).close()
    for listener in listeners:
        listener.close()


def test_taken_port_is_refused_though_it_could_be_shared() -> None:
    with bind_workers("127.0.0.1:0", 1)[0] as first:
        taken = join_address(*first.getsockname())
        with pytest.raises(PortTaken, match=f"listen: cannot serve on {taken}: Address already in use; give another"):
            bind_workers(taken, 2)


def test_foreign_address_is_refused() -> None:
    with pytest.raises(PortTaken, match="Cannot assign"):
        bind_workers("192.0.2.1:0", 1)


def test_port_zero_becomes_a_real_one() -> None:
    host, port = split_address(free_port("127.0.0.1:0"))
    assert host == "127.0.0.1"
    assert port > 0
    assert free_port("127.0.0.1:9001") == "127.0.0.1:9001"


@pytest.mark.parametrize("text", ["127.0.0.1:9000", "[::1]:9000", "localhost:1"])
def test_address_survives_splitting(text: str) -> None:
    assert join_address(*split_address(text)) == text


def test_listener_on_every_address_is_reached_by_loopback() -> None:
    assert reachable("0.0.0.0:9000") == ("127.0.0.1", 9000)
    assert reachable("[::]:9000") == ("::1", 9000)
    assert reachable("10.0.0.1:9000") == ("10.0.0.1", 9000)


def test_other_boxes_are_told_an_address_that_leads_here() -> None:
    assert told("192.0.2.1:9443", "") == "192.0.2.1:9443"
    assert told("0.0.0.0:9443", "fleet.example.org:443") == "fleet.example.org:443"
    assert told("[::1]:9443", "") == "[::1]:9443"
    assert told("0.0.0.0:9443", "") == f"{socket.getfqdn()}:9443"
