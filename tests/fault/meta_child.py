"""A process that writes metadata until it is killed, or for a while; run by test_meta_writer."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.writer import Writer


def write_pair(conn: Connection, number: int) -> None:
    """Two rows that belong together."""
    conn.driver.execute("INSERT INTO inline (blob, refs, body) VALUES (?, 1, ?)", (number, b"x" * 2000))
    conn.driver.execute("INSERT INTO usage (bucket, objects, bytes) VALUES (?, 1, 1)", (number,))


def numbered(writer: Writer) -> None:
    """Rows 1, 2, 3, ... from four threads; a number is said only after its commit."""
    numbers = iter(range(1, 1 << 30))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers)
            writer.call(partial(write_pair, number=number))
            os.write(1, b"%d\n" % number)

    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(60)


def dies_in_a_batch(writer: Writer) -> None:
    """Row 1 is committed; the others are in the transaction in which the process dies."""
    writer.call(lambda conn: write_pair(conn, 1))
    os.write(1, b"1\n")

    def last(conn: Connection) -> None:
        conn.script("PRAGMA cache_size=8")  # so that pages of the unfinished transaction reach the WAL
        for number in range(2, 300):
            write_pair(conn, number)
        os.write(1, b"dying\n")
        os.kill(os.getpid(), signal.SIGKILL)

    writer.call(last)


def busy(writer: Writer) -> None:
    """Commits as many as it can until told to stop, one after another; says how many and the longest wait."""
    name = os.getpid()
    os.write(1, b"ready\n")
    sys.stdin.readline()
    count, longest = 0, 0.0
    ends_at = time.monotonic() + 0.8
    while time.monotonic() < ends_at:
        began = time.monotonic()
        count += 1
        number = name << 32 | count
        writer.call(partial(write_pair, number=number))
        longest = max(longest, time.monotonic() - began)
    os.write(1, b"%d %d\n" % (count, longest * 1e6))


def main() -> None:
    role, path = sys.argv[1], Path(sys.argv[2])
    writer = Database(path).writer()
    writer.start()
    {"numbered": numbered, "dies": dies_in_a_batch, "busy": busy}[role](writer)
    writer.close()


if __name__ == "__main__":
    main()
