"""What lies on the nodes' disks, found without asking a node, and damaged there for real."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cyxcloud.core.ids import BlobId, ShardId
from nodefs.pack import FIRST_RECORD
from nodefs.record import (
    ALIGN_BYTES,
    LIVE,
    STATE,
    STATE_AT,
    Header,
    RecordDamaged,
    decode_header,
    encode_header,
    payload_is_good,
)
from tests.cluster.running import Running

CRC_AT = 12
CRC_FROM = 16


@dataclass(frozen=True, slots=True)
class Record:
    """One shard's record; `node` is its folder's name."""

    node: str
    pack: Path
    offset: int
    header: Header

    @property
    def shard(self) -> ShardId:
        return self.header.shard

    @property
    def payload_at(self) -> int:
        return self.header.payload_at

    @property
    def size(self) -> int:
        return self.header.record_bytes

    def read(self) -> bytes:
        with self.pack.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    def write(self, record: bytes, at: int = 0) -> None:
        with self.pack.open("r+b") as file:
            file.seek(self.offset + at)
            file.write(record)

    def is_last(self) -> bool:
        return self.pack.stat().st_size == self.offset + self.size


def records(data: Path) -> Iterator[Record]:
    for pack in sorted(data.glob("nodes/*/data/packs/*.pack")):
        end = pack.stat().st_size
        with pack.open("rb") as file:
            offset = FIRST_RECORD
            while offset < end:
                file.seek(offset)
                try:
                    header = decode_header(file.read(ALIGN_BYTES))
                except RecordDamaged:  # what another test has left; records begin at whole pages
                    offset += ALIGN_BYTES
                    continue
                yield Record(pack.parts[-4], pack, offset, header)
                offset += header.record_bytes


def is_good(record: Record) -> bool:
    """Live, and its payload is what its header says."""
    data = record.read()
    payload = data[record.payload_at : record.payload_at + record.header.shard_size]
    return record.header.state == LIVE and payload_is_good(record.header, payload)


class Disks:
    """Where each shard of a store lies, as of when this was made."""

    def __init__(self, store: Running) -> None:
        self._store = store
        self._by_shard = {record.shard: record for record in records(store.data)}

    def blob(self, bucket: str, key: str) -> BlobId:
        rows = self._store.rows(
            "SELECT version.seg_blob FROM head JOIN version ON version.id = head.version"
            " JOIN bucket ON bucket.id = head.bucket WHERE bucket.name = ? AND head.key = ?",
            bucket,
            key.encode(),
        )
        return BlobId(rows[0][0])

    def of(self, bucket: str, key: str, chunk: int = 0) -> list[Record]:
        """The fourteen records of one chunk, by index."""
        blob = self.blob(bucket, key)
        return [self._by_shard[ShardId(blob, chunk, index)] for index in range(14)]

    def all_of(self, bucket: str, key: str) -> list[Record]:
        blob = self.blob(bucket, key)
        return [record for record in self._by_shard.values() if record.shard.blob == blob]

    def neighbour(self, record: Record) -> Record:
        """Another blob's record of the same sizes and index on the same node."""
        return next(
            other
            for other in self._by_shard.values()
            if (other.node, other.size, other.header.shard_size) == (record.node, record.size, record.header.shard_size)
            and other.shard.blob != record.shard.blob
        )


def filed(store: Running) -> dict[ShardId, str]:
    """The repair entries: shard and reason."""
    rows = store.rows("SELECT blob, chunk, shard_index, reason FROM repair")
    return {ShardId(BlobId(blob), chunk, index): reason for blob, chunk, index, reason in rows}


@contextmanager
def damaged(damages: Iterable[tuple[Record, Damage]]) -> Iterator[None]:
    """Damage for the length of the block; afterwards every byte is as before."""
    done = []
    try:
        for record, damage in damages:
            done.append((record, record.read(), record.pack.stat().st_size))
            damage(record)
        yield
    finally:
        for record, before, size in reversed(done):
            if record.pack.stat().st_size < size:
                os.truncate(record.pack, size)
            record.write(before)


Damage = Callable[[Record], None]

# Damages


def flipped(at: int) -> Damage:
    """One bit of one byte, counted from the record's beginning."""

    def damage(record: Record) -> None:
        byte = record.read()[at]
        record.write(bytes([byte ^ 0x10]), at)

    return damage


def in_payload(where: Callable[[int], int]) -> Damage:
    return lambda record: flipped(record.payload_at + where(record.header.shard_size))(record)


def zeroed(start: int, size: int) -> Damage:
    return lambda record: record.write(bytes(min(size, record.size - start)), start)


def zeroed_page(record: Record) -> None:
    """The last whole 4 KiB page that the payload has a part in: what a lost write leaves."""
    end = record.payload_at + record.header.shard_size
    start = (end - 1) // ALIGN_BYTES * ALIGN_BYTES
    record.write(bytes(min(ALIGN_BYTES, record.size - start)), start)


def all_zeroed(record: Record) -> None:
    record.write(bytes(record.size))


def marked_deleted(record: Record) -> None:
    record.write(STATE.pack(0x44454C31), STATE_AT)


def noise(record: Record) -> None:
    record.write(bytes((7 * at + 3) & 0xFF for at in range(record.header.shard_size)), record.payload_at)


def lying(change: Callable[[Header], Header]) -> Damage:
    """A header that is whole in itself, checksum and all, but says something else."""

    def damage(record: Record) -> None:
        record.write(with_header(record.read(), change(record.header)))

    return damage


def with_header(record: bytes, header: Header) -> bytes:
    """The same record under another header of the same length, its checksum made right."""
    encoded = encode_header(
        header.shard,
        total=header.total,
        shard_size=header.shard_size,
        hashes=header.block_hashes,
        proof=header.proof,
        incarnation=header.incarnation,
        stored_at_ms=header.stored_at_ms,
    )
    assert zlib.crc32(encoded[CRC_FROM:]) == int.from_bytes(encoded[CRC_AT:CRC_FROM], "big")
    return encoded + record[len(encoded) :]
