"""The S3 port: one SO_REUSEPORT socket per gateway worker, bound here and kept for the store's life.

Workers that share a single listening socket take connections very unevenly; with a socket each the kernel spreads them.
The supervisor keeps every socket open, so that connections which queue while a worker restarts are served by its
successor.
"""

from __future__ import annotations

import socket

BACKLOG = 1024  # connections that may queue while a worker restarts
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound


class PortTaken(Exception):
    """The address is not free, or not ours to bind."""


def split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind_workers(address: str, count: int) -> list[socket.socket]:
    """A listening socket per worker; where the port is 0 all share the free one that the first got."""
    host, port = split_address(address)
    try:
        _assert_free(host, port)
        bound = [_listen(host, port)]
        port = bound[0].getsockname()[1]
        bound += [_listen(host, port) for _ in range(count - 1)]
    except OSError as error:
        raise PortTaken(f"listen: cannot serve on {address}: {error.strerror}; give another --listen") from None
    return bound


def free_port(address: str) -> str:
    """The address with a port of its own in place of 0, so that a restarted server comes back where it was."""
    host, port = split_address(address)
    if port:
        return address
    with socket.create_server((host, 0), family=_family(host)) as found:
        return join_address(host, found.getsockname()[1])


def told(listen: str, address: str) -> str:
    """What other boxes are told: the address that was given for them, where that says nothing the listener's own."""
    host, port = split_address(address or listen)
    port = port or split_address(listen)[1]
    return join_address(socket.getfqdn() if host in _ANY else host, port)


def in_a_row(address: str, count: int) -> list[str]:
    """So many addresses, each of the next port; where the port is 0, each of a free one."""
    host, port = split_address(address)
    return [join_address(host, port + at) if port else free_port(address) for at in range(count)]


def reachable(address: str) -> tuple[str, int]:
    """Where this box itself reaches a listener that may be bound to every address."""
    host, port = split_address(address)
    return _ANY.get(host, host), port


def _assert_free(host: str, port: int) -> None:
    """SO_REUSEPORT would let two stores of one user share a port silently; a plain bind says that it is taken."""
    if port:
        with socket.socket(_family(host)) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(_family(host))
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
