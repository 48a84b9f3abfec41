"""A PostgreSQL server of one's own in a temporary folder, listening on a Unix socket there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

# Debian keeps the server's programs out of PATH. The server refuses to run as root.
INSTALLED = Path("/usr/lib/postgresql")
SERVER_USER = "postgres"


def find_programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    return max((each.parent for each in INSTALLED.glob("*/bin/initdb")), default=None)


class PostgresServer:
    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user = SERVER_USER if os.getuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        if self._user is not None:
            shutil.chown(self._folder, self._user)

    def __enter__(self) -> str:
        data = self._folder / "data"
        self._run("initdb", "-D", data, "-A", "trust", "-U", "cyx", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        # Deadlocks are looked for soon, so that a test of them is short.
        options = f"-k {self._folder} -c listen_addresses= -c deadlock_timeout=50ms -c fsync=off"
        self._run("pg_ctl", "-D", data, "-w", "-o", options, "-l", self._folder / "log", "start")
        return f"host={self._folder} user=cyx dbname=postgres"

    def __exit__(self, *_error: object) -> None:
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._programs / program), *map(str, arguments)]
        subprocess.run(
            command, user=self._user, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=self._folder
        )
