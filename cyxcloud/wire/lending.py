"""How a pack's descriptor goes from its host to a process of the same user on the same box.

Beside the host's socket stands another, plain one, since descriptors travel in a message of their own (SCM_RIGHTS) that
asyncio's transports cannot carry: one request a connection, 36 bytes there, one byte and a descriptor back. A request
that brings a descriptor itself shares memory (sharing.py).
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from pathlib import Path

from cyxcloud.core.ids import NODE_ID_BYTES, NodeId
from cyxcloud.wire.status import HostRefused, HostUnavailable, Status

FEATURE_LEND = "lend"
ASK = struct.Struct(f">{NODE_ID_BYTES}sI")  # node id, number of the pack
SHARE = struct.Struct(">QQ20x")  # number of the memory, its size; as long as ASK
_INT = struct.Struct("i")
LENT = b"\x01"
REFUSED = b"\x00"


def lending_socket(socket_path: Path) -> Path:
    return socket_path.with_name(socket_path.name + ".lend")


async def borrow(host_socket: Path, node: NodeId, pack: int, seconds: float) -> int:
    """A descriptor of the host's pack, not inherited by children; HostUnavailable where none came in time."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(seconds):
                await loop.sock_connect(connection, str(lending_socket(host_socket)))
                await loop.sock_sendall(connection, ASK.pack(node, pack))
                await readable(connection)
        except (OSError, TimeoutError) as error:
            raise HostUnavailable(f"borrowing a pack: {str(error) or 'no answer in time'}") from error
        return _descriptor(connection)


def _descriptor(connection: socket.socket) -> int:
    try:
        answer, descriptors = receive(connection, 1)
    except OSError as error:
        raise HostUnavailable(f"borrowing a pack: {error}") from error
    if answer == LENT and len(descriptors) == 1:
        return descriptors[0]
    close_all(descriptors)
    raise HostRefused(Status.NOT_FOUND, "the host does not lend this pack")


def receive(connection: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """What is there to be read, with the descriptors that came with it, which are the caller's."""
    # socket.recv_fds drops its flags: descriptors would be inherited by every child.
    data, ancillary, _, _ = connection.recvmsg(size, socket.CMSG_SPACE(_INT.size), socket.MSG_CMSG_CLOEXEC)
    descriptors: list[int] = [
        fd
        for level, kind, rights in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (fd,) in _INT.iter_unpack(rights[: len(rights) // _INT.size * _INT.size])
    ]
    return data, descriptors


def close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(connection)
