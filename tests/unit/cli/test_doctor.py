"""What doctor finds wrong, and that each finding comes with a remedy."""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from cli import doctor_checks as checks
from cli.bootstrap import open_store
from cli.doctor import examine, judged
from cli.doctor_checks import Check, Grade
from cli.home import Home
from cli.main import app
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart, Settings
from tests.unit.core.test_keyring import CODE

MEMINFO = "MemTotal:       2000000 kB\nMemAvailable:   {} kB\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("CYXCLOUD_LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("CYXCLOUD_CONTROL", "127.0.0.1:0")
    home = Home.of([tmp_path / "data"])
    given = FirstStart(recovery_code=SecretStr(CODE.text()))
    open_store(home, config.load(home.path, {"nodes": 3, "profile": "2+1"}), given)
    return home


def found(home: Home) -> dict[str, Check]:
    """The worst of each name."""
    order = list(Grade)
    worst: dict[str, Check] = {}
    for each in examine(home):
        if each.name not in worst or order.index(each.grade) > order.index(worst[each.name].grade):
            worst[each.name] = each
    return worst


def statvfs(*, free: float, inodes: float = 1.0) -> os.statvfs_result:
    blocks, files = 1000, 1000
    return os.statvfs_result((4096, 4096, blocks, 0, int(blocks * free), files, 0, int(files * inodes), 0, 255))


def test_a_stopped_store_is_looked_at_and_nothing_is_left_behind(home: Home) -> None:
    before = sorted(home.path.rglob("*"))
    worst = found(home)
    assert {"space", "fdatasync", "hole punching", "permissions", "open files", "memory", "clock", "keyring"} <= set(
        worst
    )
    assert {"nodes", "repairs", "snapshot", "mirror", "S3 port", "operators' port"} <= set(worst)
    for name in ("keyring", "permissions", "nodes", "repairs", "S3 port", "hole punching"):
        assert worst[name].grade is Grade.OK, worst[name]
    left = [path for path in sorted(home.path.rglob("*")) if path not in before and path.name[:7] != "meta.db"]
    assert left == []


def test_before_the_first_start_the_folder_is_looked_at(tmp_path: Path) -> None:
    worst = found(Home.of([tmp_path / "not" / "there"]))
    assert worst["fdatasync"].found.startswith(str(tmp_path))
    assert "cyxcloud up" in worst["store"].found
    assert not (tmp_path / "not").exists()


def test_whatever_is_not_ok_has_a_remedy(home: Home) -> None:
    (home.keys / "confirmed").unlink()
    (home.keys / "master").chmod(0o644)
    for each in examine(home):
        assert bool(each.remedy) == (each.grade is not Grade.OK), each


def test_keys_that_others_may_read_fail_with_the_command_that_mends_them(home: Home) -> None:
    (home.keys / "master").chmod(0o640)
    check = found(home)["permissions"]
    assert (check.grade, check.remedy) == (Grade.FAIL, f"chmod 600 {home.keys / 'master'}")
    (home.keys / "master").chmod(0o600)
    home.keys.chmod(0o755)
    assert found(home)["permissions"].remedy == f"chmod 700 {home.keys}"


def test_an_unconfirmed_code_warns(home: Home) -> None:
    (home.keys / "confirmed").unlink()
    assert (found(home)["keyring"].grade, found(home)["keyring"].remedy) == (Grade.WARN, "cyxcloud keys confirm")


def test_a_keyring_that_is_lost_fails_with_the_way_back(home: Home) -> None:
    (home.keys / "bundle").unlink()
    check = found(home)["store"]
    assert check.grade is Grade.FAIL
    assert "cyxcloud keys recover" in check.found


def test_a_taken_port_fails(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        monkeypatch.setenv("CYXCLOUD_LISTEN", f"127.0.0.1:{taken.getsockname()[1]}")
        check = found(home)["S3 port"]
    assert check.grade is Grade.FAIL
    assert "--listen" in check.remedy


def test_a_wrong_setting_fails_and_the_rest_is_looked_at(home: Home) -> None:
    (home.path / "config.toml").write_text("nonsense = 1\n")
    worst = found(home)
    assert "nonsense" in worst["settings"].found
    assert "keyring" in worst


@pytest.mark.parametrize(("free", "grade"), [(0.5, Grade.OK), (0.05, Grade.WARN), (0.001, Grade.FAIL)])
def test_space_is_graded(free: float, grade: Grade) -> None:
    assert next(iter(checks.space(Path("/d"), statvfs(free=free)))).grade is grade


def test_inodes_are_graded_where_there_are_any() -> None:
    assert [each.grade for each in checks.space(Path("/d"), statvfs(free=1, inodes=0.005))] == [Grade.OK, Grade.WARN]
    none = os.statvfs_result((4096, 4096, 10, 10, 10, 0, 0, 0, 0, 255))
    assert len(list(checks.space(Path("/d"), none))) == 1


@pytest.mark.parametrize(
    ("synchronised", "store_ms", "grade"),
    [(True, 1000, Grade.OK), (None, None, Grade.OK), (False, 1000, Grade.WARN), (True, 1000_000, Grade.WARN)],
)
def test_clock_is_graded(*, synchronised: bool | None, store_ms: int | None, grade: Grade) -> None:
    assert checks.clock(synchronised=synchronised, store_ms=store_ms, wall_ms=1000).grade is grade


def test_the_kernel_can_be_asked_for_the_clock() -> None:
    assert checks.clock_synchronised() in (True, False, None)


@pytest.mark.parametrize(("kib", "grade"), [(4_000_000, Grade.OK), (800_000, Grade.WARN), (1000, Grade.FAIL)])
def test_memory_is_graded(kib: int, grade: Grade) -> None:
    assert checks.memory(MEMINFO.format(kib)).grade is grade


def test_slow_disks_are_graded() -> None:
    grades = [checks._sync_check(Path("/d"), [seconds] * 5).grade for seconds in (0.002, 0.1, 0.9)]
    assert grades == [Grade.OK, Grade.WARN, Grade.FAIL]


def status(**changes: Any) -> dict[str, Any]:
    node = {"name": "n1", "state": "up", "reason": ""}
    return {
        "keys": {"confirmed": True},
        "snapshot": {"age_seconds": 10},
        "mirror": {"path": "/m", "state": "in step", "reason": ""},
        "nodes": [node],
        "repair": {"queued": 0},
        "roles": [{"role": "gateway"}],
        "ready": True,
    } | changes


def test_a_running_store_with_nothing_wrong_is_ok() -> None:
    assert {each.grade for each in judged(status(), Settings())} == {Grade.OK}


@pytest.mark.parametrize(
    ("changes", "name", "grade"),
    [
        ({"snapshot": {"age_seconds": 86400}}, "snapshot", Grade.WARN),
        ({"snapshot": None}, "snapshot", Grade.WARN),
        ({"mirror": None}, "mirror", Grade.WARN),
        ({"mirror": {"path": "/m", "state": "stale", "reason": "EIO"}}, "mirror", Grade.WARN),
        ({"nodes": [{"name": "n1", "state": "down", "reason": "gone"}]}, "nodes", Grade.WARN),
        ({"repair": {"queued": 3}}, "repairs", Grade.WARN),
        ({"ready": False}, "ready", Grade.FAIL),
    ],
)
def test_what_status_tells_is_judged(changes: dict[str, Any], name: str, grade: Grade) -> None:
    (check,) = [each for each in judged(status(**changes), Settings()) if each.grade is not Grade.OK]
    assert (check.name, check.grade) == (name, grade)
    assert check.remedy


def test_the_command_ends_with_one_where_something_fails(home: Home) -> None:
    result = CliRunner().invoke(app, ["doctor", "--data", str(home.path), "--json"])
    value = json.loads(result.output)
    assert result.exit_code == (0 if value["healthy"] else 1)
    (home.keys / "master").chmod(0o644)
    result = CliRunner().invoke(app, ["doctor", "--data", str(home.path)])
    assert result.exit_code == 1
    assert "FAIL  permissions" in result.output
    assert f"-> chmod 600 {home.keys / 'master'}" in result.output
