"""Compares every row with what it has to agree with, and mends what can be derived from the others.

Each check is one statement that gives only the rows that disagree, so a store of any size is looked through without
holding it; the database sorts on disk. All of them read one snapshot, beside a store that runs. A repair is a
transaction of its own that looks again: what has changed since is left alone. References and usage are mended by the
difference that was found, which every correct change in between leaves as it is. Killed at any moment, some repairs are
done and the others are not; the next check finds those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import text

from cyxcloud.meta import cluster
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.statement import SQLITE, Statement, prepare

# Of one kind in one run; a database with more is not mended by hand-picking.
MAX_FINDINGS = 1000

Repair = Callable[[Connection], bool]


class Kind(StrEnum):
    """What disagrees; scripts and `docs/status.md` name these."""

    REFERENCES = "references"  # a blob's count is not that of the segments that point at it
    BLOB_MISSING = "blob-missing"  # segments point at a blob that has no row: its bytes cannot be found
    QUEUE = "deletion-queue"
    CHUNKS = "chunks"
    PLACEMENT = "placement"
    HEAD = "head"
    VERSION = "version"
    SEGMENT = "segment"
    UPLOAD = "upload"
    USAGE = "usage"
    SESSION = "session"
    BUCKET = "bucket"
    FLEET = "fleet"  # repairs, orders and strays that name what is not there
    KEY = "key"
    FILE = "file"
    SHARD = "shard"  # missing or damaged on a node; enough others are left
    CHUNK_LOST = "chunk-lost"  # fewer good shards than it takes


@dataclass(frozen=True, slots=True)
class Finding:
    """`repair` makes it right in a transaction and says whether it did; None where nothing tells what is right."""

    kind: Kind
    where: str
    problem: str
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A statement that gives the rows that disagree, and what each of them means."""

    statement: Statement
    explain: Callable[[Row], Finding]

    @classmethod
    def of(cls, statement: str, explain: Callable[[Row], Finding]) -> Check:
        return cls(prepare(text(f"{statement} LIMIT {MAX_FINDINGS}")), explain)

    def run(self, conn: Connection) -> Iterator[Finding]:
        return map(self.explain, conn.rows(self.statement))


@dataclass(frozen=True, slots=True)
class Context:
    """What rows alone do not tell: the keyring's wrapping keys, and when something queued now is due."""

    key_ids: frozenset[int]
    due_at_ms: int


def run(conn: Connection, context: Context) -> list[Finding]:
    """All that disagrees, as of one moment."""
    from cyxcloud.meta import check_fleet, check_objects, check_references

    if conn.dialect == SQLITE:
        conn.script("PRAGMA temp_store=FILE")  # a sort of everything must not be held in memory
    with conn.snapshot():
        restored = (known := cluster.read(conn)) is not None and known.restored_at_ms is not None
        parts: Sequence[Iterable[Finding]] = (
            check_references.findings(conn, context),
            check_objects.findings(conn, context),
            check_fleet.findings(conn, restored=restored),
        )
        return [finding for part in parts for finding in part]


_counts = prepare(
    text(
        "SELECT (SELECT count(*) FROM head), (SELECT count(*) FROM version), (SELECT count(*) FROM blob), "
        "(SELECT count(*) FROM inline), (SELECT count(*) FROM chunk)"
    )
)


def counts(conn: Connection) -> dict[str, int]:
    """How much there is to look at."""
    row = conn.one(_counts)
    assert row is not None
    return dict(zip(("keys", "versions", "chunked_blobs", "inline_blobs", "chunks"), row, strict=True))


def named(row_id: int) -> str:
    """An id as other commands and logs write it."""
    return f"{row_id:#x}"


def key_named(bucket: int, key: bytes) -> str:
    return f"bucket {named(bucket)} key {key.decode(errors='backslashreplace')!r}"
