"""Reading a database's file beside SQLite must not cost it its locks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cyxcloud.meta.database import Database
from cyxcloud.meta.heldfile import HeldFile

LAST_TO_CLOSE = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM bucket'); c.close()"


def another_process_closes(path: Path) -> None:
    subprocess.run([sys.executable, "-c", LAST_TO_CLOSE, str(path)], check=True, timeout=30)


def test_a_held_file_leaves_the_log_to_who_has_it_open(database: Database) -> None:
    log = Path(f"{database.path}-wal")
    writer = database.writer()
    writer.start()
    writer.call(lambda conn: conn.script("INSERT INTO usage (bucket, objects, bytes) VALUES (1, 1, 1)"))
    held = HeldFile(database.path)
    assert os.pread(held.fd, 15, 0) == b"SQLite format 3"
    del held
    another_process_closes(database.path)
    assert log.exists(), "the other process took itself for the last and removed the log under us"
    database.path.open("rb").close()  # what HeldFile is for
    another_process_closes(database.path)
    assert not log.exists()
    writer.close()
