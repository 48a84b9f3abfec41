"""Rotation of the wrapping key: a new one stands everywhere before any row is wrapped under it.

1. one more key, not current: saved in DIR/keys, then copied to every node's folder and the mirror's
2. the database notes that rows may name it: from now on an older keyring is refused
3. it becomes current: saved in DIR/keys (whoever starts from now on uses it), copied again
4. the epoch moves: gateways take it up within a second, the coordinator wraps all data keys anew

A crash after any step leaves the old key or the new one in use and both readable. A rotation that was broken off before
step 3 is taken up where it stopped, with the key that it had made; after it, the coordinator's next start does step 4.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.options import CommandError
from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.keycopies import Refreshed, refresh
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import cluster
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection

Change = Callable[[Callable[[Connection], object]], object]


@dataclass(frozen=True, slots=True)
class Rotated:
    key: int
    copies: Refreshed


def rotate(keys: Path, copies: Sequence[Path], change: Change, disk: Disk = DISK) -> Rotated:
    """`change` carries out one transaction. CommandError where too few copies could be written: nothing uses the key
    then."""
    with _alone(keys):
        keyring = Keyring.open(keys)
        if keyring.wrapping.newest == keyring.wrapping.current:
            keyring = keyring.with_new_wrapping_key()
            keyring.save(keys, disk=disk)
        key = keyring.wrapping.newest
        _assert_enough(refresh(keyring, copies, disk=disk), copies)
        change(lambda conn: cluster.set_newest_key(conn, key))
        keyring = keyring.with_newest_key_current()
        keyring.save(keys, disk=disk)
        refreshed = refresh(keyring, copies, disk=disk)
        change(lambda conn: cluster.bump(conn, Epoch.KEYS))
        return Rotated(key, refreshed)


def _assert_enough(written: Refreshed, copies: Sequence[Path]) -> None:
    """Most copies must have the key: a home lost right after the rotation comes back from any of them."""
    if len(written.current) * 2 <= len(copies):
        reasons = "; ".join(f"{folder}: {reason}" for folder, reason in written.missed[:3])
        raise CommandError(
            f"the new key could be copied to {len(written.current)} of {len(copies)} node folders only ({reasons}); "
            "nothing uses it yet: bring the nodes back and rotate again"
        )


@contextmanager
def _alone(keys: Path) -> Iterator[None]:
    """One rotation at a time; the kernel ends the turn of one that dies."""
    fd = os.open(keys, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CommandError("another rotation is under way") from None
    finally:
        os.close(fd)
