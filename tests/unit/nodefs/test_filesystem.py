"""What a new node's filesystem can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodefs import filesystem
from nodefs.filesystem import Abilities, look


def test_look_tries_it_out_and_leaves_nothing(tmp_path: Path) -> None:
    found = look(tmp_path / "made")
    assert found.syncs
    assert list((tmp_path / "made").iterdir()) == []


def test_fallbacks_name_what_goes_another_way() -> None:
    assert Abilities(punches=True, allocates=True, syncs=True).fallbacks == []
    punchless = Abilities(punches=False, allocates=True, syncs=True).fallbacks
    assert len(punchless) == 1
    assert "cannot punch holes" in punchless[0]
    assert len(Abilities(punches=False, allocates=False, syncs=True).fallbacks) == 2


def test_look_fails_where_nothing_can_be_written() -> None:
    with pytest.raises(OSError, match=r".+"):
        look(Path("/proc/cyxcloud"))


def test_filesystem_without_fallocate_is_found_out() -> None:
    with Path("/proc/self/comm").open("r+b") as file:
        assert not filesystem._can(file.fileno(), 0)
