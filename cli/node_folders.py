"""The node folders of a store that does not run, opened for what they hold: shards, snapshot pointers, sealed keyrings.

A folder that cannot be opened is passed over with its reason, like a node that is missing. Opening does to a node what
every start of its host does: a torn tail is cut, the index catches up, a lost one is made from the packs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from cli.home import Home
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.ids import ShardId
from cyxcloud.core.keycopies import Copy, read_copy
from cyxcloud.core.keyring import NODE_FOLDER
from cyxcloud.objects.at_rest import RestingShard
from nodefs.folder import MARKER, FolderUnusable, Marker, open_folder, read_marker
from nodefs.recovery import open_store
from nodefs.space import DiskSpace
from nodefs.store import NodeStore, ShardRead

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FoundNode:
    path: Path
    marker: Marker


def find_nodes(home: Home, named: Sequence[Path]) -> list[FoundNode]:
    """In the store's own folders, and in those named: node folders, folders that hold some, or data folders."""
    places = [folder / "nodes" for folder in home.data_dirs]
    places += [folder.expanduser().resolve() for folder in named]
    folders = [each for place in places for each in (place, *_below(place), *_below(place / "nodes"))]
    found: dict[bytes, FoundNode] = {}
    for folder in folders:
        if not (folder / MARKER).is_file():
            continue
        try:
            marker = read_marker(folder)
        except FolderUnusable as error:
            log.warning("node passed over", folder=str(folder), reason=str(error))
            continue
        found.setdefault(marker.node_id, FoundNode(folder, marker))
    return list(found.values())


def keyring_copies(found: Sequence[FoundNode]) -> Iterator[Copy]:
    for each in found:
        copy = read_copy(each.path / NODE_FOLDER)
        if copy is not None:
            yield copy


@dataclass(slots=True)
class OpenNodes:
    """`bytes_read` counts payloads; `passed_over` are nodes that could not be opened, with the reason."""

    stores: list[NodeStore] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)
    bytes_read: int = 0

    def find(self, shard: ShardId) -> Iterator[RestingShard]:
        for store in self.stores:
            found = store.read(shard.blob, shard.chunk, shard.index, 0, 0)
            if isinstance(found, ShardRead):
                self.bytes_read += len(found.payload)
                yield RestingShard(found.block_hashes, found.proof, found.payload)

    def pointers(self) -> list[bytes]:
        found = []
        for store in self.stores:
            try:
                found.append(store.folder.pointer.read_bytes())
            except OSError:
                continue
        return found


@contextmanager
def opened(found: Sequence[FoundNode]) -> Iterator[OpenNodes]:
    nodes, clock = OpenNodes(), SystemClock()
    try:
        for each in found:
            try:
                store, _ = open_store(open_folder(each.path), DiskSpace(each.path, clock), clock)
            except (FolderUnusable, OSError, sqlite3.Error) as error:
                nodes.passed_over[each.marker.name] = str(error)
            else:
                nodes.stores.append(store)
        yield nodes
    finally:
        for store in nodes.stores:
            try:
                store.close()
            except (OSError, sqlite3.Error) as error:
                log.warning("node's index was not flushed", node=store.folder.marker.name, reason=str(error))


def _below(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
