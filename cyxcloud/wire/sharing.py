"""Memory that a process shares with the hosts on its box: shards that lie in it are written to disk from where they
were made, instead of going through a socket.

It is a memfd, handed over the lending socket by a connection that stays open as long as the host shall keep it mapped.
It is sealed at its size: memory that shrank under the host would kill it (SIGBUS), with all its nodes.

Who shares it may change what a host still writes. Therefore a slot is held from the moment a put that names it is sent
until the host's last answer to that put, whoever may have stopped waiting; and where a connection ends before that, the
host may live on and write, so no slot of this memory is ever given out again.
"""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from cyxcloud.wire.lending import LENT, SHARE, lending_socket, readable
from cyxcloud.wire.status import HostRefused, HostUnavailable, Status

FEATURE_SHARE = "share"
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_ANSWER_BYTES = 1
# It maps it, nothing more; until it has, puts go by the socket.
SHARE_SECONDS = 5.0


class MemoryRefused(Exception):
    """What came is no memory that could be mapped without danger."""


class SharedMemory:
    """Mapped as long as anybody has a view of it."""

    __slots__ = ("fd", "is_retired", "number", "size", "view")

    def __init__(self, size: int) -> None:
        self.size = size
        self.number = secrets.randbits(63) + 1  # its name towards hosts
        self.is_retired = False
        self.fd = os.memfd_create("shards", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        self.view = memoryview(mmap.mmap(self.fd, size))

    def retire(self) -> None:
        """Nothing of it is given out any more: a host may still read what nobody waits for."""
        self.is_retired = True

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)


def map_shared(fd: int, size: int) -> memoryview:
    """The host's side: mapped, the descriptor closed."""
    try:
        if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK == 0 or os.fstat(fd).st_size < size:
            raise MemoryRefused("memory that may shrink")
        return memoryview(mmap.mmap(fd, size, prot=mmap.PROT_READ))
    except (OSError, ValueError) as error:
        raise MemoryRefused(str(error)) from error
    finally:
        os.close(fd)


class Slot:
    """Room for one chunk's shards, one after another by index; free again when nobody holds it. One event loop's."""

    __slots__ = ("_free", "_holders", "memory", "offset", "view")

    def __init__(self, view: memoryview, memory: SharedMemory | None, offset: int, free: Callable[[int], None]) -> None:
        self.view = view
        self.memory = memory  # None: private, for this once
        self.offset = offset
        self._free = free
        self._holders = 1

    def hold(self) -> None:
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        assert self._holders >= 0, "released more often than held"
        if self._holders == 0:
            self._free(self.offset)

    def lose(self) -> None:
        """A holder of which nobody knows when it will be done."""
        if self.memory is not None:
            self.memory.retire()


async def share(host_socket: Path, memory: SharedMemory, seconds: float) -> socket.socket:
    """Let the host map this memory; it does so until the socket that this returns is closed."""
    loop = asyncio.get_running_loop()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        async with asyncio.timeout(seconds):
            await loop.sock_connect(connection, str(lending_socket(host_socket)))
            socket.send_fds(connection, [SHARE.pack(memory.number, memory.size)], [memory.fd])
            await readable(connection)
            answer = await loop.sock_recv(connection, _ANSWER_BYTES)
    except (OSError, TimeoutError) as error:
        connection.close()
        raise HostUnavailable(f"sharing memory: {str(error) or 'no answer in time'}") from error
    except BaseException:
        connection.close()
        raise
    if answer != LENT:
        connection.close()
        raise HostRefused(Status.DENIED, "the host maps no memory of ours")
    return connection


class Shares:
    """Which memory the host at the other end of one connection has mapped."""

    def __init__(self, host_socket: Path, in_use: Callable[[SharedMemory], bool]) -> None:
        self._host_socket = host_socket
        self._in_use = in_use
        self._can_share = False
        self._shared: dict[int, tuple[SharedMemory, socket.socket]] = {}
        self._sharing: asyncio.Task[None] | None = None

    def begin(self, *, can_share: bool) -> None:
        """A connection stands."""
        self._can_share = can_share

    def end(self) -> None:
        """It is lost, and with it what the host kept for it."""
        self._can_share = False
        if self._sharing is not None:
            self._sharing.cancel()
        for _, connection in self._shared.values():
            connection.close()
        self._shared.clear()

    def has(self, memory: SharedMemory | None) -> bool:
        """If not, it is shared meanwhile, if that can be, and this put goes by the socket."""
        if memory is None or not self._can_share:
            return False
        if memory.number in self._shared:
            return True
        if self._sharing is None and not memory.is_retired:
            self._sharing = asyncio.create_task(self._share(memory))
        return False

    async def _share(self, memory: SharedMemory) -> None:
        try:
            connection = await share(self._host_socket, memory, SHARE_SECONDS)
        except (HostRefused, HostUnavailable):
            self._can_share = False
            return
        finally:
            self._sharing = None
        self._shared[memory.number] = memory, connection
        for other, its_connection in list(self._shared.values()):
            if other.is_retired and not self._in_use(other):
                del self._shared[other.number]
                its_connection.close()
