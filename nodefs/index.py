"""Where each shard lies: a cache of what the packs say, in SQLite and bounded memory.

It never decides what data exists: deleted or damaged, it is made again from the packs. Entries are published to memory
after their record is durable, and flushed by a checkpoint every few seconds, together with how far each pack has been
read into it and how far the order log; recovery does the rest again from there (redo). A crash loses only time.

Threads: publish from the commit thread, checkpoint from a worker thread, find from any.
"""

from __future__ import annotations

import sqlite3
import struct
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cyxcloud.core.ids import COUNTER_BITS, BlobId, ShardId
from nodefs.record import Header

SCHEMA_VERSION = 2
# About 180 bytes an entry: 3 MB a node.
_CLEAN_ENTRIES = 16384
_COUNTER_MASK = (1 << COUNTER_BITS) - 1
_LOCATION = struct.Struct(">IQII")
_KEYS_A_QUERY = 400  # two parameters each, of the 999 that every SQLite takes
_PIECE_BITS = 40
_PIECE_MASK = (1 << _PIECE_BITS) - 1

_SCHEMA = """
CREATE TABLE shard (blob INTEGER, piece INTEGER, location BLOB NOT NULL, PRIMARY KEY (blob, piece)) WITHOUT ROWID;
CREATE TABLE pack (number INTEGER PRIMARY KEY, scanned_to INTEGER NOT NULL, live_bytes INTEGER NOT NULL,
  live_count INTEGER NOT NULL);
CREATE TABLE session (number INTEGER PRIMARY KEY, highest INTEGER NOT NULL);
CREATE TABLE state (orders_generation INTEGER NOT NULL, orders_offset INTEGER NOT NULL, scrub BLOB NOT NULL);
INSERT INTO state VALUES (0, 0, x'');
"""


class IndexUnusable(Exception):
    """The file is damaged or of another version: rebuild it."""


@dataclass(frozen=True, slots=True)
class Location:
    pack: int
    offset: int
    size: int  # of the record, header and padding included
    crc: int = 0  # of its header: another record of the same shard is not this one


@dataclass(slots=True)
class PackState:
    """What the index holds of one pack."""

    scanned_to: int
    live_bytes: int = 0
    live_count: int = 0


@dataclass(frozen=True, slots=True)
class OrdersPosition:
    generation: int
    offset: int


def shard_key(blob: int, chunk: int, index: int) -> int:
    return blob << _PIECE_BITS | chunk << 8 | index


def key_shard(key: int) -> ShardId:
    return ShardId(BlobId(key >> _PIECE_BITS), (key & _PIECE_MASK) >> 8, key & 0xFF)


def key_of(header: Header) -> int:
    shard = header.shard
    return shard_key(shard.blob, shard.chunk, shard.index)


class NodeIndex:
    def __init__(self, path: Path) -> None:
        """Open or make it; IndexUnusable where there is one that cannot be read."""
        new = not path.exists()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._reader = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            if new:
                self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
            elif self._db.execute("PRAGMA user_version").fetchone() != (SCHEMA_VERSION,):
                raise IndexUnusable(f"{path}: of another version")  # noqa: TRY301 - closes what it opened
            self._highest: dict[int, int] = dict(self._db.execute("SELECT number, highest FROM session"))
        except (sqlite3.DatabaseError, IndexUnusable) as error:
            self._db.close()
            self._reader.close()
            raise IndexUnusable(str(error)) from error
        # Never two at once: a flush holds its connection for milliseconds, which neither readers nor publish wait for.
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._swapping = threading.Lock()
        self._dirty: dict[int, Location | None] = {}
        self._flushing: Mapping[int, Location | None] = {}
        self._clean: dict[int, Location] = {}

    def find(self, key: int) -> Location | None:
        for recent in (self._dirty, self._flushing):
            if key in recent:
                return recent[key]
        found = self._clean.get(key)
        if found is not None:
            return found
        blob = key >> _PIECE_BITS
        # Ids of a session rise, so one above the highest that was flushed is new: a PUT need not ask SQLite.
        if blob & _COUNTER_MASK > self._highest.get(blob >> COUNTER_BITS, -1):
            return None
        return self._look_up(key)

    def find_many(self, keys: Iterable[int]) -> dict[int, Location]:
        """As find() for each, without making room for them in memory: for who reads everything once."""
        found: dict[int, Location] = {}
        asked: list[int] = []
        for key in keys:
            if key in self._dirty or key in self._flushing or key in self._clean:
                where = self.find(key)
                if where is not None:
                    found[key] = where
            else:
                asked.append(key)
        for start in range(0, len(asked), _KEYS_A_QUERY):
            page = asked[start : start + _KEYS_A_QUERY]
            values = ",".join(["(?,?)"] * len(page))
            params = [part for key in page for part in (key >> _PIECE_BITS, key & _PIECE_MASK)]
            with self._reading:
                rows = self._reader.execute(
                    f"SELECT blob, piece, location FROM shard WHERE (blob, piece) IN (VALUES {values})",  # noqa: S608 - question marks only
                    params,
                ).fetchall()
            found.update((blob << _PIECE_BITS | piece, _unpack(place)) for blob, piece, place in rows)
        return found

    def publish(self, entries: Mapping[int, Location | None]) -> None:
        """These records are durable (None: gone)."""
        with self._swapping:
            self._dirty.update(entries)
            for key, location in entries.items():
                if location is None:
                    self._clean.pop(key, None)

    @property
    def dirty(self) -> int:
        return len(self._dirty)

    def begin_checkpoint(self) -> None:
        """From here on published entries belong to the next one. The caller takes its counters in the same instant."""
        with self._swapping:
            assert not self._flushing
            self._flushing, self._dirty = self._dirty, {}

    def finish_checkpoint(self, packs: Mapping[int, PackState], orders: OrdersPosition) -> None:
        """Write what begin_checkpoint set apart; when that fails it is dirty again."""
        try:
            self._flush(self._flushing, packs, orders)
        except sqlite3.Error:
            with self._swapping:
                self._dirty = {**self._flushing, **self._dirty}
                self._flushing = {}
            raise
        with self._swapping:
            self._remember(self._flushing)
            self._flushing = {}

    def packs(self) -> dict[int, PackState]:
        with self._reading:
            rows = self._reader.execute("SELECT number, scanned_to, live_bytes, live_count FROM pack").fetchall()
        return {number: PackState(scanned, size, count) for number, scanned, size, count in rows}

    def orders_position(self) -> OrdersPosition:
        with self._reading:
            generation, offset = self._reader.execute("SELECT orders_generation, orders_offset FROM state").fetchone()
        return OrdersPosition(generation, offset)

    def scrub_cursor(self) -> bytes:
        with self._reading:
            return bytes(self._reader.execute("SELECT scrub FROM state").fetchone()[0])

    def save_scrub_cursor(self, cursor: bytes) -> None:
        with self._writing:
            self._db.execute("UPDATE state SET scrub = ?", (cursor,))

    def list_page(self, after: int | None, limit: int, session: int | None) -> list[tuple[int, Location]]:
        """Entries in the order of their keys; call checkpoint first, for what is only in memory is not seen."""
        first = -1 if after is None else after
        if session is not None:
            first = max(first, (session << COUNTER_BITS << _PIECE_BITS) - 1)
        last = (1 << 63) - 1 if session is None else ((session + 1) << COUNTER_BITS) - 1
        blob, piece = (first >> _PIECE_BITS, first & _PIECE_MASK) if first >= 0 else (-1, 0)
        with self._reading:
            rows = self._reader.execute(
                "SELECT blob, piece, location FROM shard WHERE (blob, piece) > (?, ?) AND blob <= ? "
                "ORDER BY blob, piece LIMIT ?",
                (blob, piece, last, limit),
            ).fetchall()
        return [(blob << _PIECE_BITS | piece, _unpack(location)) for blob, piece, location in rows]

    def rows_of(self, pack: int) -> list[tuple[int, Location]]:
        """All flushed entries that point into this pack: a walk over everything."""
        with self._reading:
            rows = self._reader.execute(
                "SELECT blob, piece, location FROM shard WHERE substr(location, 1, 4) = ?", (pack.to_bytes(4, "big"),)
            ).fetchall()
        return [(blob << _PIECE_BITS | piece, _unpack(place)) for blob, piece, place in rows]

    def close(self) -> None:
        with self._writing, self._reading:
            self._reader.close()
            self._db.close()

    def _look_up(self, key: int) -> Location | None:
        with self._reading:
            row = self._reader.execute(
                "SELECT location FROM shard WHERE blob = ? AND piece = ?", (key >> _PIECE_BITS, key & _PIECE_MASK)
            ).fetchone()
        if row is None:
            return None
        location = _unpack(row[0])
        with self._swapping:
            self._remember({key: location})
        return location

    def _remember(self, entries: Mapping[int, Location | None]) -> None:
        clean = self._clean
        for key, location in entries.items():
            newest = self._dirty.get(key, location)
            if newest is not None:
                clean[key] = newest
        while len(clean) > _CLEAN_ENTRIES:
            del clean[next(iter(clean))]

    def _flush(
        self, entries: Mapping[int, Location | None], packs: Mapping[int, PackState], orders: OrdersPosition
    ) -> None:
        highest = _highest_of(entries)
        kept = [(key >> _PIECE_BITS, key & _PIECE_MASK, _pack(where)) for key, where in entries.items() if where]
        gone = [(key >> _PIECE_BITS, key & _PIECE_MASK) for key, where in entries.items() if where is None]
        states = [(number, pack.scanned_to, pack.live_bytes, pack.live_count) for number, pack in packs.items()]
        with self._writing, _Transaction(self._db) as db:
            db.executemany("INSERT OR REPLACE INTO shard VALUES (?, ?, ?)", kept)
            db.executemany("DELETE FROM shard WHERE blob = ? AND piece = ?", gone)
            db.execute("DELETE FROM pack")
            db.executemany("INSERT INTO pack VALUES (?, ?, ?, ?)", states)
            db.executemany(
                "INSERT INTO session VALUES (?, ?) ON CONFLICT DO UPDATE SET highest = max(highest, excluded.highest)",
                highest.items(),
            )
            db.execute("UPDATE state SET orders_generation = ?, orders_offset = ?", (orders.generation, orders.offset))
            # Before the entries leave memory, so that find() never takes one for new.
            for session, counter in highest.items():
                self._highest[session] = max(counter, self._highest.get(session, -1))


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> sqlite3.Connection:
        self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


def _highest_of(keys: Iterable[int]) -> dict[int, int]:
    highest: dict[int, int] = {}
    for key in keys:
        blob = key >> _PIECE_BITS
        session, counter = blob >> COUNTER_BITS, blob & _COUNTER_MASK
        if counter > highest.get(session, -1):
            highest[session] = counter
    return highest


def _pack(location: Location) -> bytes:
    return _LOCATION.pack(location.pack, location.offset, location.size, location.crc)


def _unpack(data: bytes) -> Location:
    return Location(*_LOCATION.unpack(data))
