"""What a snapshot consists of: for every group of the database file, which blob of which snapshot holds it (pure).

The same bytes are an object on the nodes, to which the pointer leads, and `meta/snapshot.state` at home, from which the
next snapshot tells what has changed. A group is 64 KiB of the file, one frame of its blob: the last one of the file is
padded with zeros. Data keys are wrapped under the snapshots' own key, so that wrapping keys may be rotated.

    magic and version (8) | head | blobs, each with its chunk roots | groups | BLAKE3 of all before (32)
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from blake3 import blake3

from cyxcloud.core.ids import BlobId
from cyxcloud.core.keywrap import WRAPPED_BYTES

GROUP_BYTES = 64 * 1024
HASH_BYTES = 32

_MAGIC = b"CYXSNMF\x01"
# cluster id, incarnation, sequence, taken at, database bytes, page bytes, hash of the whole, blobs, groups
_HEAD = struct.Struct(f">16s16sQQQI{HASH_BYTES}sII")
# blob, size, k, m, codec, wrapped key, key of its object, chunks
_BLOB = struct.Struct(f">QQBBB{WRAPPED_BYTES}sHI")
_GROUP = struct.Struct(f">II{HASH_BYTES}s")
SUMMARY_BYTES = len(_MAGIC) + _HEAD.size


class ManifestDamaged(ValueError):
    """Not a snapshot's manifest, or not whole."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands at the beginning of a manifest."""

    cluster_id: bytes
    incarnation: bytes
    sequence: int
    taken_at_ms: int
    database_bytes: int
    page_bytes: int
    content_hash: bytes

    @property
    def group_count(self) -> int:
        return -(-self.database_bytes // GROUP_BYTES)


@dataclass(frozen=True, slots=True)
class SnapshotBlob:
    """A blob that holds groups; `key` is its object's in the system bucket."""

    blob: BlobId
    size: int
    k: int
    m: int
    codec: int
    wrapped_dek: bytes
    key: bytes
    roots: tuple[bytes, ...]

    @property
    def stored_groups(self) -> int:
        return self.size // GROUP_BYTES


@dataclass(frozen=True, slots=True)
class Group:
    """`blob` counts the manifest's blobs, `at` the groups in that blob."""

    blob: int
    at: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    summary: Summary
    blobs: tuple[SnapshotBlob, ...]
    groups: tuple[Group, ...]

    def encode(self) -> bytes:
        summary = self.summary
        assert len(self.groups) == summary.group_count
        parts = [_MAGIC, _HEAD.pack(*_summary_fields(summary), len(self.blobs), len(self.groups))]
        for each in self.blobs:
            fields = (each.blob, each.size, each.k, each.m, each.codec, each.wrapped_dek)
            parts += [_BLOB.pack(*fields, len(each.key), len(each.roots)), each.key, *each.roots]
        parts += [_GROUP.pack(group.blob, group.at, group.hash) for group in self.groups]
        body = b"".join(parts)
        return body + blake3(body).digest()

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Raises ManifestDamaged."""
        body, digest = data[:-HASH_BYTES], data[-HASH_BYTES:]
        summary = read_summary(body)
        if blake3(body).digest() != digest:
            raise ManifestDamaged("the snapshot's manifest is damaged")
        # Past its hash it is what this module wrote.
        blob_count, group_count = _HEAD.unpack_from(body, len(_MAGIC))[-2:]
        at = SUMMARY_BYTES
        blobs = []
        for _ in range(blob_count):
            found, at = _decode_blob(body, at)
            blobs.append(found)
        groups = tuple(Group(*fields) for fields in _GROUP.iter_unpack(body[at:]))
        if len(groups) != group_count or group_count != summary.group_count:
            raise ManifestDamaged("the snapshot's manifest names another number of groups than it has")
        return cls(summary, tuple(blobs), groups)

    def live_groups(self) -> list[int]:
        """How many groups of the file each blob still holds."""
        live = [0] * len(self.blobs)
        for group in self.groups:
            live[group.blob] += 1
        return live


def read_summary(data: bytes) -> Summary:
    """From the first SUMMARY_BYTES of a manifest; raises ManifestDamaged."""
    if len(data) < SUMMARY_BYTES or not data.startswith(_MAGIC):
        raise ManifestDamaged("not a snapshot's manifest of a format known here")
    return Summary(*_HEAD.unpack_from(data, len(_MAGIC))[:-2])


def content_hash(hashes: Sequence[bytes]) -> bytes:
    """Of the whole file, by the hashes of its groups in order."""
    hasher = blake3()
    for each in hashes:
        hasher.update(each)
    return hasher.digest()


def group_hash(group: bytes | memoryview) -> bytes:
    """Of a whole group; the last one of a file is given padded."""
    assert len(group) == GROUP_BYTES
    return blake3(group).digest()


def padded_groups(data: memoryview) -> Iterator[bytes | memoryview]:
    """The groups of a piece of the file that begins at a group."""
    for at in range(0, len(data), GROUP_BYTES):
        group = data[at : at + GROUP_BYTES]
        yield group if len(group) == GROUP_BYTES else bytes(group).ljust(GROUP_BYTES, b"\0")


def _summary_fields(summary: Summary) -> tuple[object, ...]:
    return (
        summary.cluster_id,
        summary.incarnation,
        summary.sequence,
        summary.taken_at_ms,
        summary.database_bytes,
        summary.page_bytes,
        summary.content_hash,
    )


def _decode_blob(body: bytes, at: int) -> tuple[SnapshotBlob, int]:
    blob, size, k, m, codec, wrapped, key_bytes, chunk_count = _BLOB.unpack_from(body, at)
    at += _BLOB.size
    key = body[at : at + key_bytes]
    at += key_bytes
    roots = tuple(body[at + n * HASH_BYTES : at + (n + 1) * HASH_BYTES] for n in range(chunk_count))
    return SnapshotBlob(BlobId(blob), size, k, m, codec, wrapped, key, roots), at + chunk_count * HASH_BYTES
