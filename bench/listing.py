"""What a page of a listing costs as the bucket grows from 10^3 to 10^6 keys: flat is the promise, and this shows it.

`python -m bench.listing [LARGEST]` writes docs/listing.svg and the table of docs/listing.md. Each shape is a database of
its own, as a store has it on disk; pages are taken from all over the listing, after a start with a cold cache. Beside the
time, which depends on the machine, stand SQLite's instructions, which do not.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.plot import Curve, plot
from cyxcloud.core.ids import BucketId, VersionId
from cyxcloud.meta import listing, version_listing
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.reads import VersionRef
from cyxcloud.meta.schema import head, version
from cyxcloud.meta.writer import open_writable

BUCKET = BucketId(7)
SIZES = (1_000, 10_000, 100_000, 1_000_000)
PAGES = 40
BATCH = 50_000
DOCS = Path(__file__).parent.parent / "docs"
_BEGIN, _END = "<!-- measured by bench/listing.py -->", "<!-- end -->"

Page = Callable[[Connection, float], int]


@dataclass(frozen=True, slots=True)
class Stored:
    """A version of a key to be laid down; `is_latest` ones get the head."""

    key: bytes
    seq: int = 1
    is_latest: bool = True
    is_marker: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """What a bucket of n holds, and a page of it: `at` is how far into the listing, 0 to 1; gives its entries."""

    name: str
    rows: Callable[[int], Iterable[Stored]]
    pages: dict[str, Callable[[int], Page]]


@dataclass(frozen=True, slots=True)
class Cost:
    ms: float
    instructions: int
    entries: int


def tree_key(number: int) -> bytes:
    """Six levels deep, with a thousand keys in each of the lowest."""
    folder = number // 1000
    levels = [f"level-{folder // 4 ** (4 - depth) % 4}" for depth in range(5)]
    return "/".join([*levels, f"key-{number:08d}"]).encode()


def tree(n: int) -> Iterator[Stored]:
    return (Stored(tree_key(number)) for number in range(n))


def folders(n: int) -> Iterator[Stored]:
    """A thousand of them, however many keys there are."""
    size = n // 1000
    return (Stored(b"folder-%03d/%04d" % (number // size, number % size)) for number in range(n))


def chains(n: int) -> Iterator[Stored]:
    return (Stored(b"key-%07d" % (number // 10), number % 10 + 1, number % 10 == 9) for number in range(n))


def one_chain(n: int) -> Iterator[Stored]:
    return (Stored(b"key", seq + 1, is_latest=seq == n - 1) for seq in range(n))


def markers(n: int) -> Iterator[Stored]:
    """All deleted but for a thousand live keys behind them."""
    yield from (Stored(b"gone-%07d" % number, is_marker=True) for number in range(n))
    yield from (Stored(b"live-%04d" % number) for number in range(1000))


def objects(after: Callable[[float], bytes], prefix: bytes = b"", delimiter: bytes = b"") -> Page:
    def page(conn: Connection, at: float) -> int:
        found = listing.page(conn, BUCKET, prefix=prefix, delimiter=delimiter, after=after(at))
        return len(found.objects) + len(found.prefixes)

    return page


def versions(after: Callable[[float], tuple[bytes, VersionRef | None]], delimiter: bytes = b"") -> Page:
    def page(conn: Connection, at: float) -> int:
        key, named = after(at)
        found = version_listing.page(conn, BUCKET, delimiter=delimiter, after_key=key, after_version=named)
        return len(found.versions) + len(found.prefixes)

    return page


def _deep(n: int) -> Page:
    """A folder at the lowest level with its thousand keys, wherever in the bucket."""

    def page(conn: Connection, at: float) -> int:
        prefix = tree_key(int(at * (n - 1)) // 1000 * 1000).rpartition(b"/")[0] + b"/"
        return objects(lambda _: b"", prefix, b"/")(conn, at)

    return page


def _after(form: bytes, n: int, versions_a_key: int) -> Callable[[float], tuple[bytes, VersionRef | None]]:
    return lambda at: (form % (int(at * (n - 1000)) // versions_a_key), None)


def _from_start(_: float) -> bytes:
    return b""


SHAPES = (
    Shape(
        "tree of six levels",
        tree,
        {
            "objects": lambda n: objects(lambda at: tree_key(int(at * (n - 1000)))),
            "objects of the top, delimiter": lambda _: objects(_from_start, delimiter=b"/"),
            "objects of a deep prefix, delimiter": _deep,
        },
    ),
    Shape(
        "1,000 folders",
        folders,
        {
            "objects, delimiter": lambda _: objects(_from_start, delimiter=b"/"),
            "versions, delimiter": lambda _: versions(lambda _: (b"", None), delimiter=b"/"),
        },
    ),
    Shape("ten versions a key", chains, {"versions": lambda n: versions(_after(b"key-%07d", n, 10))}),
    Shape(
        "one key",
        one_chain,
        {"versions": lambda n: versions(lambda at: (b"key", VersionRef(VersionId(n - int(at * (n - 1000))))))},
    ),
    Shape(
        "delete markers before 1,000 keys",
        markers,
        {
            "objects": lambda _: objects(_from_start),
            "objects, delimiter": lambda _: objects(_from_start, delimiter=b"/"),
            "versions": lambda n: versions(_after(b"gone-%07d", n, 1)),
        },
    ),
)


def lay_down(path: Path, rows: Iterable[Stored]) -> None:
    Database(path).upgrade()
    with closing(open_writable(path)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        batch: list[tuple[int, Stored]] = []
        for each in enumerate(rows, 1):
            batch.append(each)
            if len(batch) == BATCH:
                _insert(connection, batch)
                batch = []
        _insert(connection, batch)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _insert(connection: Any, batch: list[tuple[int, Stored]]) -> None:
    """As many columns as a row of an object of 1 KiB fills."""
    connection.execute("BEGIN")
    marks = {table.name: ",".join("?" * len(table.c)) for table in (head, version)}
    etag = "d41d8cd98f00b204e9800998ecf8427e"
    connection.executemany(
        f"INSERT INTO version VALUES ({marks['version']})",
        (
            (
                *(number, BUCKET, each.key, each.seq, 0, int(each.is_marker), 1024, etag, number, 1, "STANDARD", 0),
                *(bytes(36), b"\x01", number, 0, 1024, bytes(40), 1, 1, bytes(36), 1),
            )
            for number, each in batch
        ),
    )
    connection.executemany(
        f"INSERT INTO head VALUES ({marks['head']})",
        (
            (
                *(BUCKET, each.key, number, None, int(not each.is_marker), 1024, etag, number, 1, "STANDARD", 0),
                each.seq + 1,
            )
            for number, each in batch
            if each.is_latest
        ),
    )
    connection.execute("COMMIT")


def measure(path: Path, page: Page) -> Cost:
    conn = Database(path).reader()
    instructions = 0

    def count() -> None:
        nonlocal instructions
        instructions += 100

    took: list[float] = []
    entries = 0
    for number in range(PAGES):
        start = time.process_time()
        entries += page(conn, number / PAGES)
        took.append(time.process_time() - start)
    conn.driver.set_progress_handler(count, 100)
    for number in range(PAGES):
        page(conn, number / PAGES)
    conn.driver.close()
    return Cost(statistics.median(took) * 1e3, instructions // PAGES, entries // PAGES)


def run(sizes: Iterable[int]) -> dict[str, dict[int, Cost]]:
    found: dict[str, dict[int, Cost]] = {}
    for shape in SHAPES:
        for n in sizes:
            with tempfile.TemporaryDirectory(prefix="bench-", dir=".") as folder:
                path = Path(folder) / "meta.db"
                lay_down(path, shape.rows(n))
                for what, make in shape.pages.items():
                    cost = measure(path, make(n))
                    found.setdefault(f"{shape.name}: {what}", {})[n] = cost
                    print(f"{shape.name:36}{what:34}{n:>10,} {cost.ms:8.2f} ms {cost.instructions:>8,}", flush=True)
    return found


def table(found: dict[str, dict[int, Cost]], sizes: tuple[int, ...]) -> str:
    lines = [
        f"| a page of | entries | {' | '.join(f'{n:,}' for n in sizes)} | instructions, {sizes[0]:,} and {sizes[-1]:,} |",
        f"| --- | ---: | {' | '.join('---:' for _ in sizes)} | ---: |",
    ]
    for name, costs in found.items():
        first, last = costs[sizes[0]], costs[sizes[-1]]
        cells = " | ".join(f"{costs[n].ms:.2f}" for n in sizes)
        lines.append(f"| {name} | {last.entries:,} | {cells} | {first.instructions:,} {last.instructions:,} |")
    return "\n".join(lines)


def main() -> None:
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]
    sizes = tuple(n for n in SIZES if n <= largest)
    found = run(sizes)
    curves = [Curve(name, [(n, cost.ms) for n, cost in costs.items()]) for name, costs in found.items()]
    (DOCS / "listing.svg").write_text(plot(curves, "keys, versions or markers in the bucket", "ms of CPU a page"))
    page = DOCS / "listing.md"
    before, _, rest = page.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    page.write_text(f"{before}{_BEGIN}\n\n{table(found, sizes)}\n\n{_END}{after}")


if __name__ == "__main__":
    main()
