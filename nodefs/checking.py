"""Compares what lies in a pack with its own hashes and with the index, and names what does not agree.

Every class of damage ends as one of: a suspect (the index points at something that is not the record that was put), a
stray (a live record that the index does not point at). A record counts as the one that was put when header and CRC are
what the index remembers and the payload gives the header's hashes.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from cyxcloud.core.merkle import BLOCK_BYTES, HASH_BYTES, leaf_hash_within
from nodefs.index import Location, key_of
from nodefs.pack import Pack
from nodefs.record import ALIGN_BYTES, LIVE, MAGIC, Header, RecordDamaged, decode_header
from nodefs.store import NodeStore


@dataclass(frozen=True, slots=True)
class _Met:
    offset: int  # in the window
    key: int
    header: Header


def check_window(store: NodeStore, number: int, start: int, window: memoryview, *, last: bool) -> tuple[int, int]:
    """(how many bytes are done with, how many records there are where the index says).

    A record that is cut off by the window's end is left for the next window, which begins with it; in the `last` one of
    a pack it is cut off for good.
    """
    met, done = _headers(window, last=last)
    known = store.index.find_many([each.key for each in met])
    held = 0
    for each in met:
        where = known.get(each.key)
        if where is not None and (where.pack, where.offset) == (number, start + each.offset):
            held += 1
            if not _is_the_record(each.header, where, window, each.offset):
                store.suspects.add(each.key)
        elif each.header.state == LIVE:
            store.strays.add((number, start + each.offset))
    return done, held


def check_rows(store: NodeStore, number: int) -> None:
    """Each index row of this pack against the header that it points at."""
    pack = store.packs[number]
    size = pack.size()
    for key, where in store.index.rows_of(number):
        header = _header_at(pack, where.offset)
        if header is None or not _is_named(header, where) or key_of(header) != key or where.offset + where.size > size:
            store.suspects.add(key)


def _header_at(pack: Pack, offset: int) -> Header | None:
    try:
        return decode_header(pack.pread(ALIGN_BYTES, offset))
    except RecordDamaged:
        return None
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return None


def _is_named(header: Header, where: Location) -> bool:
    return header.state == LIVE and header.crc == where.crc


def _headers(window: memoryview, *, last: bool) -> tuple[list[_Met], int]:
    """Every record that begins in the window and ends in it, and how far that is."""
    met: list[_Met] = []
    at = 0
    while at < len(window):
        try:
            header = decode_header(window[at : at + ALIGN_BYTES])
        except RecordDamaged:
            at = _next_magic(window, at + ALIGN_BYTES)
            continue
        end = at + header.record_bytes
        if end > len(window) and not last:
            if at == 0:  # longer than any record is: no record
                at = _next_magic(window, ALIGN_BYTES)
                continue
            return met, at
        met.append(_Met(at, key_of(header), header))
        # What a bad record says of its length may hide those behind it.
        at = end if end <= len(window) else _next_magic(window, at + ALIGN_BYTES)
    return met, at


def _next_magic(window: memoryview, at: int) -> int:
    while at < len(window) and window[at : at + len(MAGIC)] != MAGIC:
        at += ALIGN_BYTES
    return at


def _is_the_record(header: Header, where: Location, window: memoryview, at: int) -> bool:
    if not _is_named(header, where):
        return False
    start = at + header.payload_at
    end = start + header.shard_size
    if end > len(window):
        return False
    hashes = header.block_hashes
    return all(
        leaf_hash_within(window, block, min(end, block + BLOCK_BYTES)) == hashes[number : number + HASH_BYTES]
        for number, block in zip(range(0, len(hashes), HASH_BYTES), range(start, end, BLOCK_BYTES), strict=True)
    )
