"""A rotation of the wrapping key that is killed at any step leaves everything readable, from the home and from any copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from cli import keyrotation
from cli.home import Home
from cli.options import CommandError
from cli.store import change, check_keyring, database_of, open_existing
from cyxcloud.core.keycopies import newest, read_copy
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import cluster
from cyxcloud.meta.connection import Connection
from tests.unit.cli.test_keyring_commands import DEK, add_object, copies, dek_of_object, keys, start
from tests.unit.core.test_keyring import CODE, FailingDisk


class Crash(Exception):
    pass


def test_a_rotation_killed_at_any_step_leaves_everything_readable(tmp_path: Path) -> None:
    """Every operation on a disk and every transaction in turn; then the home is lost too, and comes back from any one
    of the copies, or is refused where that copy is too old for the rows."""
    home = Home.of([tmp_path / "data"])
    start(home)
    add_object(home)
    shutil.copytree(home.path, tmp_path / "fresh")
    for nth in range(1000):
        shutil.rmtree(home.path)
        shutil.copytree(tmp_path / "fresh", home.path)
        ended = rotate_until(home, nth)
        keyring = Keyring.open(home.keys)
        assert dek_of_object(home, keyring) == (1, DEK)
        with open_existing(home) as store:
            known = cluster.read(store.reader)
        assert known is not None
        assert keyring.wrapping.current <= known.newest_key, "in use before the database knew"
        # What is current in the home stands in every copy: a home lost now takes no key with it.
        for folder in copies(home):
            copy = read_copy(folder)
            assert copy is not None
            found, _ = newest(CODE, [copy])
            assert keyring.wrapping.current in found.wrapping.keys
            check_keyring(found, known, folder)
        keys(home, "rotate", "--wait")
        after = Keyring.open(home.keys)
        assert dek_of_object(home, after) == (after.wrapping.current, DEK)
        assert after.wrapping.keys.items() >= keyring.wrapping.keys.items()
        if ended:
            break
    assert nth > 60


def rotate_until(home: Home, nth: int) -> bool:
    """False where it was killed at its nth operation."""
    disk, database = FailingDisk(nth), database_of(home)

    def changing(request: Callable[[Connection], object]) -> object:
        disk.left -= 1
        if disk.left < 0:
            raise Crash
        return change(database, request)

    try:
        keyrotation.rotate(home.keys, copies(home), changing, disk=disk)
    except (OSError, Crash, CommandError):
        return False
    finally:
        database.close()
    return True
