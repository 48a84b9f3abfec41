"""What a repair costs and how it is felt: `python -m bench.mover`.

A store is started for this run and filled with 4 MiB chunks; a node is replaced, so that each chunk on it lacks a shard.
First alone: MiB of chunks rebuilt a second, at no limit and at the default rate, and CPU of all processes a MiB; then
GETs of 64 KiB objects with and without the mover at its default rate, in turns, since a shared machine is never alike.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typer.testing import CliRunner

from bench.load import KIB, MIB, Request, Target, body, cpu_of, measure
from cli import control
from cli.home import Home
from cli.main import app
from conformance.clients.endpoint import own_store

CHUNK = 4 * MIB
SMALL = 64 * KIB
CLIENTS = 4
TURN_SECONDS = 4.0


def replace(data: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["node", "replace", name, "--force", "--data", str(data)])
    assert done.exit_code == 0, done.output


def rebuilt(data: Path) -> int:
    """Bytes of chunks, since the coordinator started."""
    found: int = control.ask(Home.of([data]).control_socket, "GET", "/mover")["bytes"]
    return found


def settle(data: Path, quiet_seconds: float = 3.0) -> tuple[int, float]:
    """Waits until nothing moves; gives the bytes, and when the last of them came."""
    seen, at = rebuilt(data), time.perf_counter()
    while time.perf_counter() - at < quiet_seconds:
        time.sleep(0.05)
        now = rebuilt(data)
        if now != seen:
            seen, at = now, time.perf_counter()
    return seen, at


@contextmanager
def rate(mib_per_second: float | None) -> Iterator[None]:
    name = "CYXCLOUD_MOVER__MIB_PER_SECOND"
    if mib_per_second is not None:
        os.environ[name] = str(mib_per_second)
    try:
        yield
    finally:
        os.environ.pop(name, None)


def alone(scratch: Path, chunks: int, mib_per_second: float | None) -> None:
    with rate(mib_per_second), own_store(scratch) as store:
        target = Target(store.endpoint.url, store.endpoint.access_key, store.endpoint.secret_key)
        target.call("PUT", "/bench")
        for number in range(chunks):
            target.call("PUT", f"/bench/{number}", bytes(body(CHUNK, number)))
        settle(store.data)
        idle, started = cpu_of(store.pid), time.perf_counter()
        time.sleep(5)
        idle = (cpu_of(store.pid) - idle) / (time.perf_counter() - started)
        before, cpu = rebuilt(store.data), cpu_of(store.pid)
        replace(store.data, "node-03")
        while rebuilt(store.data) == before:
            time.sleep(0.01)
        begun = time.perf_counter()
        after, ended = settle(store.data)
        took, moved = ended - begun, (after - before) / MIB
        spent = cpu_of(store.pid) - cpu - idle * (time.perf_counter() - begun)
    limit = "no limit" if mib_per_second else "default rate"
    print(
        f"alone, {limit:12}: {moved:6.0f} MiB rebuilt, {moved / took:6.1f} MiB/s, {spent / moved * 1000:5.2f} CPU ms/MiB"
    )


def beside(scratch: Path, chunks: int, turns: int) -> None:
    with own_store(scratch) as store:
        target = Target(store.endpoint.url, store.endpoint.access_key, store.endpoint.secret_key)
        target.call("PUT", "/bench")
        for number in range(chunks):
            target.call("PUT", f"/bench/{number}", bytes(body(CHUNK, number)))
        for number in range(256):
            target.call("PUT", f"/bench/s{number}", bytes(body(SMALL, number)))
        paths = [target.path("GET", f"/bench/s{number}") for number in range(256)]
        reads = itertools.cycle([Request("GET", path, length=SMALL) for path in paths])
        figures: dict[str, list[float]] = {"without": [], "with": []}
        for turn in range(turns):
            settle(store.data)
            for name, p99s in figures.items():
                if name == "with":
                    replace(store.data, f"node-{turn % 16 + 1:02}")
                    before = rebuilt(store.data)
                    while rebuilt(store.data) == before:
                        time.sleep(0.01)
                with contextlib.redirect_stdout(io.StringIO()):
                    found = measure(name, target, store.pid, reads, clients=CLIENTS, seconds=TURN_SECONDS)
                p99s.append(found.p99_ms)
        without, beside_it = (statistics.median(each) for each in figures.values())
    print(
        f"GET 64 KiB, {CLIENTS} clients: p99 {without:.1f} ms without, {beside_it:.1f} ms with: {beside_it / without:.2f}x"
    )
    print(
        f"  turns {[round(each, 1) for each in figures['without']]} and {[round(each, 1) for each in figures['with']]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=80)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--dir", type=Path, help="a folder on the disk to measure on")
    arguments = parser.parse_args()
    for mib_per_second in (10_000.0, None):
        with tempfile.TemporaryDirectory(dir=arguments.dir, prefix="bench-") as scratch:
            alone(Path(scratch), arguments.chunks, mib_per_second)
    with tempfile.TemporaryDirectory(dir=arguments.dir, prefix="bench-") as scratch:
        beside(Path(scratch), arguments.chunks, arguments.turns)


if __name__ == "__main__":
    main()
