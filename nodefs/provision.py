"""Makes a node: once, whole, and never over something that is there.

Everything is built in `.NAME.new` beside the target, which is then renamed. A crash leaves that folder, which never was
a node; the next attempt clears it away.
"""

from __future__ import annotations

import shutil
from pathlib import Path

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


def create_node(
    folder: Path,
    name: str,
    cluster_id: bytes,
    incarnation: bytes,
    coordinator_public_key: bytes,
    *,
    capacity_bytes: int = 0,
    disk: Disk = DISK,
) -> NodeId:
    """FileExistsError where anything is at that path."""
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
    identity = NodeIdentity.create(growing / "identity", disk)
    marker = Marker(name, identity.node_id, cluster_id, incarnation, coordinator_public_key)
    write_marker(growing, marker, disk)
    disk.rename(growing, folder)
    fsync_dir(folder.parent, disk=disk)
    return identity.node_id
