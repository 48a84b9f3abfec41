"""A snapshot's objects in the system bucket: written like any other, given up when no snapshot needs them.

Their rows make the mover and the deletions treat them like all data; what reads them in need is not these rows but the
manifest, whose entries are made here.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from cyxcloud.core.keywrap import Mode
from cyxcloud.meta import reads
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import SegmentRow
from cyxcloud.meta.snapshot_manifest import SnapshotBlob
from cyxcloud.meta.snapshot_pointer import PointedChunk, wrap_dek
from cyxcloud.meta.system import SNAPSHOT_BUCKET, SNAPSHOT_BUCKET_NAME, SYSTEM_ACCOUNT
from cyxcloud.objects import delete, intake, listing, put
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.body import Body
from cyxcloud.objects.delete import Removal, Remover
from cyxcloud.objects.put import Target
from cyxcloud.objects.store import Store
from cyxcloud.shards.erasure import CODEC_ID

PAGE_KEYS = 500


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What manifest and pointer say of an object."""

    entry: SnapshotBlob
    chunks: tuple[PointedChunk, ...]


def delta_key(sequence: int, part: int) -> bytes:
    return b"delta/%012d-%04d" % (sequence, part)


def manifest_key(sequence: int) -> bytes:
    return b"manifest/%012d" % sequence


async def write(store: Store, master: bytes, key: bytes, body: Body) -> StoredBlob:
    """Durable, and the key's current version, when this returns."""
    taken = await intake.take(store, body)
    assert taken.chunks, "a snapshot's object is never inline: it would be lost with the database"
    target = Target(SNAPSHOT_BUCKET, key, SYSTEM_ACCOUNT)
    new = put.new_version(store, target, (taken.segment,), taken.digests.md5.hex(), Attributes())

    def commit(conn: Connection) -> None:
        intake.insert(conn, store, taken)
        put.make_current(conn, store, new, target.conditions)

    try:
        await store.change(commit)
    except BaseException:
        await intake.discard(store, taken)
        raise
    placements = [store.topology.placement(chunk.placement) for chunk in taken.chunks]
    blob, dek = taken.segment.blob, _dek(store, taken.segment)
    entry = SnapshotBlob(
        blob=blob,
        size=taken.size,
        k=placements[0].k,
        m=placements[0].m,
        codec=CODEC_ID,
        wrapped_dek=wrap_dek(master, blob, dek),
        key=key,
        roots=tuple(chunk.root for chunk in taken.chunks),
    )
    pointed = (
        PointedChunk(chunk.root, placement.nodes) for chunk, placement in zip(taken.chunks, placements, strict=True)
    )
    return StoredBlob(entry, tuple(pointed))


def is_there(store: Store, entry: SnapshotBlob) -> bool:
    """Whether the system bucket still has this very blob."""
    found = reads.read_object(store.reader, SNAPSHOT_BUCKET_NAME, entry.key, with_body=False).version
    return found is not None and found.segment is not None and found.segment.blob == entry.blob


async def give_up_all_but(store: Store, live: AbstractSet[bytes]) -> int:
    """Removes the objects that are not named; their bytes stay for the delete grace."""
    gone, after, more = 0, b"", True
    while more:
        page = listing.page(store, SNAPSHOT_BUCKET, prefix=b"", delimiter=b"", after=after, limit=PAGE_KEYS)
        dead = {each.key for each in page.objects} - live
        await give_up(store, dead)
        gone += len(dead)
        after, more = page.last or b"", page.truncated
    return gone


async def give_up(store: Store, keys: AbstractSet[bytes]) -> None:
    if keys:
        remover = Remover(store, SNAPSHOT_BUCKET, SYSTEM_ACCOUNT)
        await delete.delete_objects(remover, [Removal(key) for key in sorted(keys)])


def _dek(store: Store, segment: SegmentRow) -> bytes:
    return store.wrapping.unwrap(segment.key_id, segment.blob, Mode(segment.mode), segment.dek)
