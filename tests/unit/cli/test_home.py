"""The lock that lets only one instance serve a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.home import AlreadyRunning, Home, is_running, take_locks


def test_second_instance_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    home = Home.of([tmp_path])
    held = take_locks(home)
    with pytest.raises(AlreadyRunning, match=f"{tmp_path} is served by another cyxcloud \\(process {os.getpid()}\\)"):
        take_locks(home)
    for fd in held:
        os.close(fd)
    for fd in take_locks(home):
        os.close(fd)


def test_second_home_on_a_shared_data_folder_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "disk2"
    held = take_locks(Home.of([tmp_path / "a", shared]))
    other = Home.of([tmp_path / "b", shared])
    with pytest.raises(AlreadyRunning, match=str(shared)):
        take_locks(other)
    assert not is_running(other), "a refused start must give back what it took"
    for fd in held:
        os.close(fd)


def test_lock_lives_as_long_as_any_process_that_inherited_it(tmp_path: Path) -> None:
    home = Home.of([tmp_path])
    assert not is_running(home)
    held = take_locks(home)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=held) as heir:
        for fd in held:
            os.close(fd)
        assert is_running(home)
        heir.communicate(b"\n")
    assert not is_running(home)


def test_folders_are_resolved_and_named(tmp_path: Path) -> None:
    home = Home.of([tmp_path / "x" / ".." / "a", tmp_path / "b"])
    assert home.data_dirs == (tmp_path / "a", tmp_path / "b")
    assert home.session_file(2) == tmp_path / "a" / "run" / "gateway-2.session"
