"""A database file made again from a snapshot on the nodes: pointer, manifest, groups, each proven by the one before.

Nothing is written over: the file is new, and whole and synced when `restore_database` returns.
A pointer that leads nowhere any more (its manifest or groups were given up, or too many nodes are missing) raises
Unreadable; the caller tries the next older one.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from cyxcloud.core.keywrap import WrongKey
from cyxcloud.meta.snapshot_manifest import (
    GROUP_BYTES,
    Manifest,
    ManifestDamaged,
    SnapshotBlob,
    content_hash,
    group_hash,
)
from cyxcloud.meta.snapshot_pointer import Pointer, PointerDamaged, open_pointer, unwrap_dek
from cyxcloud.objects.at_rest import RestingBlob, RestingShards, Unreadable, read_chunk
from cyxcloud.shards.frames import CHUNK_BYTES

CHUNK_GROUPS = CHUNK_BYTES // GROUP_BYTES

Progress = Callable[[int, int], None]  # bytes of the database that are there, of so many


def newest_first(pointers: Iterable[bytes], master: bytes, cluster_id: bytes) -> list[Pointer]:
    """The pointers of this store that are whole, each once, the newest first."""
    found: list[Pointer] = []
    for data in pointers:
        try:
            pointer = open_pointer(data, master)
        except PointerDamaged:
            continue
        if pointer.cluster_id == cluster_id and pointer not in found:
            found.append(pointer)
    return sorted(found, key=lambda each: (each.sequence, each.taken_at_ms), reverse=True)


def read_manifest(source: RestingShards, pointer: Pointer, master: bytes) -> Manifest:
    """Raises Unreadable."""
    roots = tuple(chunk.root for chunk in pointer.chunks)
    try:
        dek = unwrap_dek(master, pointer.blob, pointer.wrapped_dek)
        blob = RestingBlob(pointer.blob, pointer.size, pointer.k, pointer.m, pointer.codec, dek, roots)
        manifest = Manifest.decode(b"".join(read_chunk(source, blob, index) for index in range(len(roots))))
    except (WrongKey, ManifestDamaged) as error:
        raise Unreadable(f"snapshot {pointer.sequence}: {error}") from error
    summary = manifest.summary
    if (summary.cluster_id, summary.sequence) != (pointer.cluster_id, pointer.sequence):
        raise Unreadable(f"snapshot {pointer.sequence} leads to the manifest of another one")
    return manifest


def restore_database(
    source: RestingShards, manifest: Manifest, master: bytes, path: Path, progress: Progress = lambda _done, _all: None
) -> None:
    """Makes the file, byte for byte as it was frozen. Raises Unreadable, FileExistsError."""
    summary = manifest.summary
    if content_hash([group.hash for group in manifest.groups]) != summary.content_hash:
        raise Unreadable("the snapshot's manifest does not add up")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        done = 0
        for number, entry in enumerate(manifest.blobs):
            for index, wanted in sorted(_by_chunk(manifest, number).items()):
                done += _write_groups(fd, read_chunk(source, _resting(entry, master), index), index, wanted, manifest)
                progress(min(done, summary.database_bytes), summary.database_bytes)
        os.ftruncate(fd, summary.database_bytes)
        os.fsync(fd)
    finally:
        os.close(fd)


def _by_chunk(manifest: Manifest, blob: int) -> dict[int, list[int]]:
    """The numbers of the file's groups that lie in each chunk of a blob."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(manifest.groups):
        if group.blob == blob:
            found[group.at // CHUNK_GROUPS].append(number)
    return found


def _write_groups(fd: int, chunk: memoryview, index: int, wanted: Iterable[int], manifest: Manifest) -> int:
    written = 0
    for number in wanted:
        group = manifest.groups[number]
        start = (group.at - index * CHUNK_GROUPS) * GROUP_BYTES
        data = chunk[start : start + GROUP_BYTES]
        if len(data) != GROUP_BYTES or group_hash(data) != group.hash:
            raise Unreadable(f"group {number} is not what the manifest says")
        written += os.pwrite(fd, data, number * GROUP_BYTES)
    return written


def _resting(entry: SnapshotBlob, master: bytes) -> RestingBlob:
    try:
        dek = unwrap_dek(master, entry.blob, entry.wrapped_dek)
    except WrongKey as error:
        raise Unreadable(str(error)) from error
    return RestingBlob(entry.blob, entry.size, entry.k, entry.m, entry.codec, dek, entry.roots)
