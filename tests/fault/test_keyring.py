"""The keyring under a disk that fails or loses power at every operation: never none over data, never half of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyxcloud.core.keyring import Keyring, KeyringMissing
from cyxcloud.core.recovery_code import RecoveryCode
from tests.fault.faultdisk import FaultDisk
from tests.fault.sweep import Case, crash_everywhere, fail_everywhere

CODE = RecoveryCode(b"0123456789abcdef")


def create(disk: FaultDisk, done: list[bytes]) -> None:
    done.append(Keyring.create(disk.root / "keys", CODE, disk=disk).master)


def whole_or_absent(root: Path, done: list[bytes]) -> None:
    try:
        found = Keyring.open(root / "keys")
    except KeyringMissing:
        assert not done
        Keyring.create(root / "keys", CODE)  # what was left does not stand in the way
        return
    assert not done or found.master == done[0]


def made(root: Path) -> None:
    keyring = Keyring.create(root / "keys", CODE)
    keyring.copy_to(root / "copy")


def rotate(disk: FaultDisk, done: list[int]) -> None:
    keyring = Keyring.open(disk.root / "keys").with_new_wrapping_key()
    keyring.save(disk.root / "keys", disk=disk)
    done.append(keyring.wrapping.current)
    keyring.copy_to(disk.root / "copy", disk=disk)
    done.append(keyring.wrapping.current)


def old_or_new(root: Path, done: list[int]) -> None:
    home = Keyring.open(root / "keys")
    copy = Keyring.recover(
        CODE, (root / "copy" / "master.wrapped").read_bytes(), (root / "copy" / "bundle").read_bytes()
    )
    assert home.master == copy.master
    assert home.wrapping.current == done[0] if done else home.wrapping.current in (1, 2)
    assert len(done) < 2 or copy.wrapping.current == done[1]
    assert copy.wrapping.current <= home.wrapping.current


CREATE: Case[list[bytes]] = Case(lambda _: None, list, create, whole_or_absent)
ROTATE: Case[list[int]] = Case(made, list, rotate, old_or_new)


@pytest.mark.parametrize("case", [CREATE, ROTATE], ids=["create", "rotate"])
@pytest.mark.parametrize(
    ("every", "seeds", "least"), [(1, 1, 60), pytest.param(1, 16, 200, marks=[pytest.mark.long])], ids=["few", "all"]
)
def test_a_keyring_is_old_or_new_wherever_the_power_goes(
    case: Case[list[object]], tmp_path: Path, every: int, seeds: int, least: int
) -> None:
    assert crash_everywhere(case, tmp_path, every=every, seeds=seeds) > least


@pytest.mark.parametrize("case", [CREATE, ROTATE], ids=["create", "rotate"])
def test_a_keyring_is_old_or_new_whichever_operation_fails(case: Case[list[object]], tmp_path: Path) -> None:
    assert fail_everywhere(case, tmp_path) > 40
