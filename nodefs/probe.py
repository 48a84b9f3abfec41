"""Looks at one disk and at the folders of its nodes: is this still what was opened, and does a small write get through?

Runs in a thread of its own, since it may hang. The file that it writes and removes again is in a node's temp/ and never
read; what a crash leaves of it is written over by the next probe.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cyxcloud.core.durable import Disk, write_all
from cyxcloud.core.ids import NodeId
from nodefs.folder import FolderLost, FolderUnusable, read_marker
from nodefs.health import Sample

_PROBE = Path("temp") / "probe"
_BYTES = bytes(4096)


@dataclass(frozen=True, slots=True)
class Place:
    """A node's folder as it was opened."""

    node_id: NodeId
    path: Path
    identity: tuple[int, int]  # st_dev, st_ino


@dataclass(frozen=True, slots=True)
class Probed:
    sample: Sample
    lost: dict[NodeId, str] = field(default_factory=dict)  # node -> why its folder is not its own any more


def probe(places: Sequence[Place], disk: Disk) -> Probed:
    began = time.monotonic()
    lost: dict[NodeId, str] = {}
    try:
        for place in places:
            if reason := _strange(place, disk):
                lost[place.node_id] = reason
        found = [place for place in places if place.node_id not in lost]
        if found:
            _write(found[0].path / _PROBE, disk)
    except OSError as error:
        return Probed(
            Sample(time.monotonic() - began, error=error.errno or 1, inodes_left=_inodes_left(places, disk)), lost
        )
    return Probed(Sample(time.monotonic() - began), lost)


def _strange(place: Place, disk: Disk) -> str:
    """Why this is not the folder that was opened; OSError where the disk does not tell."""
    try:
        status = disk.stat(place.path)
        if (status.st_dev, status.st_ino) != place.identity:
            return f"{place.path}: another folder stands in its place"
        if read_marker(place.path).node_id != place.node_id:
            return f"{place.path}: another node stands in its place"
    except (FileNotFoundError, NotADirectoryError):
        return f"{place.path}: the folder is gone"
    except FolderLost as error:
        return str(error)
    except FolderUnusable as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error
        return str(error)
    return ""


def _write(path: Path, disk: Disk) -> None:
    fd = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(fd, [_BYTES], 0, disk)
        disk.fsync(fd)
    finally:
        disk.close(fd)
        disk.unlink(path)


def _inodes_left(places: Sequence[Place], disk: Disk) -> bool:
    try:
        status = disk.statvfs(places[0].path)
    except OSError:
        return True
    return status.f_files == 0 or status.f_favail > 0
