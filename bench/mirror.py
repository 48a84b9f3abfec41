"""What the metadata's mirror adds to a PUT of 1 KiB: two stores side by side, in turns, since machines differ.

`python -m bench.mirror [FOLDER]`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from bench.load import KIB, Figures, Request, Target, body, measure
from tests.cluster.running import ROOT, Running

ROUNDS = 5
SECONDS = 3.0


@contextmanager
def serving(data: Path, mirror: str) -> Iterator[tuple[Target, int]]:
    store = Running(data, {"meta_mirror": mirror})
    store.start()
    try:
        assert store.process is not None
        target = Target(f"http://{store.endpoint.host}:{store.endpoint.port}", ROOT.access, ROOT.secret)
        target.call("PUT", "/bench")
        yield target, store.process.pid
    finally:
        store.stop()


def puts(target: Target, serial: Iterator[int]) -> Iterator[Request]:
    return (target.request("PUT", f"/bench/{number:08d}", body(KIB, number)) for number in serial)


def show(name: str, clients: int, rounds: list[Figures]) -> None:
    cpu, p50 = (statistics.median(getattr(each, field) for each in rounds) for field in ("cpu_ms", "p50_ms"))
    rate = statistics.median(each.operations / each.seconds for each in rounds)
    print(f"{name:16} c{clients:<3} {cpu:6.3f} ms CPU  {p50:7.2f} ms p50  {rate:7.0f} /s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="of the mirror, on another disk; else beside the store")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir=".") as name:
        scratch = Path(name).resolve()
        mirror = scratch / "mirror" if asked.folder is None else asked.folder.resolve()
        with serving(scratch / "a", "none") as alone, serving(scratch / "b", str(mirror)) as mirrored:
            stores = {"without a mirror": alone, "with a mirror": mirrored}
            serial = count()
            for clients in (1, 16):
                rounds: dict[str, list[Figures]] = {each: [] for each in stores}
                for _ in range(ROUNDS):
                    for label, (target, pid) in stores.items():
                        done = measure(label, target, pid, puts(target, serial), clients=clients, seconds=SECONDS)
                        rounds[label].append(done)
                for label, figures in rounds.items():
                    show(label, clients, figures)


if __name__ == "__main__":
    main()
