"""Joining on a disk that fails or loses power at every operation: the node that the fleet knows is never lost.

A token is used up when the fleet has answered, so the key has to be on the disk before it is asked: repeated with the
same token, each attempt that was cut short must end as the very node that the fleet let in.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from cyxcloud.core.certificates import Authority, Role
from cyxcloud.core.clock import Clock, ManualClock
from cyxcloud.core.identity import NodeIdentity
from cyxcloud.core.ids import NodeId
from cyxcloud.wire.joining import JoinAnswer, JoinToken
from nodefs.fleetfolder import read_identity
from nodefs.folder import open_folder
from nodefs.joining import NotJoined, Wish, join
from tests.fault.faultdisk import FaultDisk
from tests.fault.sweep import Case, crash_everywhere, fail_everywhere
from tests.unit.nodefs.making import UNSYNCED

CLOCK = ManualClock()
AUTHORITY = Authority(bytes(32), b"c" * 16)
TOKEN = JoinToken(b"s" * 20, b"p" * 32)


@dataclass(slots=True)
class Promise:
    """`let_in` is whose the token is, `joined` that the operator was told so."""

    let_in: NodeId | None = None
    joined: bool = False

    async def ask(self, _wish: Wish, identity: NodeIdentity, _clock: Clock) -> tuple[bytes, JoinAnswer]:
        """The fleet: the same answer to the same key, another is refused."""
        self.let_in = self.let_in or identity.node_id
        if identity.node_id != self.let_in:
            raise NotJoined("this token was used by another node")
        issued = AUTHORITY.issue(identity.public_key, Role.NODE, CLOCK.now_ms())
        return AUTHORITY.certificate, JoinAnswer("cc" * 16, "dd" * 16, "ee" * 32, "box", issued.decode())


def _join(root: Path, promise: Promise, disk: FaultDisk | None = None) -> None:
    wish = Wish(root / "n", TOKEN, "https://fleet:1", "192.0.2.1:4001", "box", 10**9)
    asyncio.run(join(wish, CLOCK, disk or UNSYNCED, promise.ask))


def _work(disk: FaultDisk, promise: Promise) -> None:
    try:
        _join(disk.root, promise, disk)
    except NotJoined as error:
        raise OSError(str(error)) from error
    promise.joined = True


def _check(root: Path, promise: Promise) -> None:
    if promise.joined:
        open_folder(root / "n")
    again = Promise(promise.let_in)  # each state of the disk goes on by itself
    _join(root, again)
    assert open_folder(root / "n").marker.node_id == again.let_in
    assert read_identity(root / "n", open_folder(root / "n").identity).node_id == again.let_in
    assert not (root / ".n.joining").exists()


CASE = Case(lambda _: None, Promise, _work, _check)


def test_join_is_repeated_as_the_same_node_wherever_the_power_goes(tmp_path: Path) -> None:
    assert crash_everywhere(CASE, tmp_path, every=2) > 100


def test_join_is_repeated_as_the_same_node_whichever_operation_fails(tmp_path: Path) -> None:
    assert fail_everywhere(CASE, tmp_path, every=3) > 50
