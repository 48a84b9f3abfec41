"""Makes a node: once, whole, and never over something that is there.

Everything is built in `.NAME.new` beside the target, which is then renamed. A crash leaves that folder, which never was
a node; the next attempt clears it away.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from cyxcloud.core.durable import DISK, Disk, create_file, fsync_dir, make_dirs
from cyxcloud.core.identity import PUBLIC_KEY_BYTES, NodeIdentity
from cyxcloud.core.ids import NodeId
from nodefs.folder import SUBFOLDERS, Marker, write_marker

_CONFIG = """\
# How much this node may hold, in bytes; 0 = as much as its filesystem has, less the reserve.
capacity_bytes = {capacity_bytes}
# What it may take and give over the network, in bytes a second; 0 = no limit. For nodes that serve other boxes.
bandwidth_in = 0
bandwidth_out = 0
"""

_NO_FILES: Mapping[str, bytes] = MappingProxyType({})


def create_node(
    folder: Path,
    name: str,
    cluster_id: bytes,
    incarnation: bytes,
    coordinator_public_key: bytes,
    *,
    capacity_bytes: int = 0,
    identity: Path | None = None,
    files: Mapping[str, bytes] = _NO_FILES,
    disk: Disk = DISK,
) -> NodeId:
    """FileExistsError where anything is at that path. `identity`: a folder with the key that it is to have; `files`
    are written with the rest."""
    assert len(cluster_id) == len(incarnation) == 16
    assert len(coordinator_public_key) == PUBLIC_KEY_BYTES
    if folder.exists() or folder.is_symlink():
        raise FileExistsError(f"{folder} is there already")
    make_dirs(folder.parent, disk=disk)
    growing = folder.parent / f".{folder.name}.new"
    shutil.rmtree(growing, ignore_errors=True)
    for part in SUBFOLDERS:
        make_dirs(growing / part, disk=disk)
    create_file(growing / "config.toml", _CONFIG.format(capacity_bytes=capacity_bytes).encode(), disk=disk)
    if identity is None:
        own = NodeIdentity.create(growing / "identity", disk)
    else:
        make_dirs(growing / "identity", disk=disk)
        for file in sorted(identity.iterdir()):
            mode = file.stat().st_mode & 0o777
            create_file(growing / "identity" / file.name, file.read_bytes(), mode=mode, disk=disk)
        own = NodeIdentity.load(growing / "identity")
    for path, data in files.items():
        create_file(growing / path, data, disk=disk)
    marker = Marker(name, own.node_id, cluster_id, incarnation, coordinator_public_key)
    write_marker(growing, marker, disk)
    disk.rename(growing, folder)
    fsync_dir(folder.parent, disk=disk)
    return own.node_id
