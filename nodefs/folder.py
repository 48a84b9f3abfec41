"""A node's folder: the blueprint's layout, an identity, and a marker that says whose node this is.

Made once by provision.py, under a temporary name and renamed, so that a folder is whole or absent. A folder that is
missing, foreign or incomplete is never made again: its node stays down with a reason until somebody replaces the node.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cyxcloud.core.durable import DISK, Disk, write_file
from cyxcloud.core.identity import IdentityDamaged, NodeIdentity
from cyxcloud.core.ids import NODE_ID_BYTES, NodeId

FORMAT = 1
MARKER = "node.json"
POINTER = Path("metadata") / "snapshot.pointer"
SUBFOLDERS = ("data/packs", "data/quarantine", "metadata", "cache/lru", "temp/uploads", "logs")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class FolderUnusable(Exception):
    """Missing, foreign or damaged; the text is what an operator reads."""


class FolderLost(FolderUnusable):
    """Missing, emptied or another node's: what stood here is not here."""


@dataclass(frozen=True, slots=True)
class Marker:
    name: str
    node_id: NodeId
    cluster_id: bytes
    incarnation: bytes
    coordinator_public_key: bytes


@dataclass(frozen=True, slots=True)
class NodeFolder:
    path: Path
    marker: Marker
    identity: NodeIdentity
    capacity_bytes: int  # 0 = as much as the filesystem has
    bandwidth_in: int = 0  # bytes a second from and to other boxes; 0 = no limit
    bandwidth_out: int = 0

    @property
    def packs(self) -> Path:
        return self.path / "data" / "packs"

    @property
    def quarantine(self) -> Path:
        return self.path / "data" / "quarantine"

    @property
    def orders(self) -> Path:
        return self.path / "data" / "orders.log"

    @property
    def findings(self) -> Path:
        return self.path / "metadata" / "findings.log"

    @property
    def pointer(self) -> Path:
        return self.path / POINTER

    @property
    def index(self) -> Path:
        return self.path / "metadata" / "meta.db"


def open_folder(path: Path) -> NodeFolder:
    """The folder as it stands; FolderUnusable says what is wrong with it."""
    marker = read_marker(path)
    try:
        identity = NodeIdentity.load(path / "identity")
        config = tomllib.loads((path / "config.toml").read_text())
        numbers = [int(config.get(name, 0)) for name in ("capacity_bytes", "bandwidth_in", "bandwidth_out")]
    except (IdentityDamaged, OSError, ValueError) as error:
        raise FolderUnusable(str(error)) from error
    if identity.node_id != marker.node_id:
        raise FolderLost(f"{path}: {MARKER} and identity/ are of different nodes")
    missing = [name for name in SUBFOLDERS if not (path / name).is_dir()]
    if missing:
        raise FolderLost(f"{path}: lacks {', '.join(missing)}")
    if min(numbers) < 0:
        raise FolderUnusable(f"{path}/config.toml: a limit below 0")
    return NodeFolder(path, marker, identity, *numbers)


def read_marker(path: Path) -> Marker:
    try:
        fields = json.loads((path / MARKER).read_text())
        if fields.pop("format") != FORMAT:
            raise FolderUnusable(f"{path}: format of another version")
        marker = Marker(
            name=str(fields["name"]),
            node_id=NodeId(bytes.fromhex(fields["node_id"])),
            cluster_id=bytes.fromhex(fields["cluster_id"]),
            incarnation=bytes.fromhex(fields["incarnation"]),
            coordinator_public_key=bytes.fromhex(fields["coordinator_public_key"]),
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FolderLost(f"{path}: no node here ({error.strerror})") from error
    except OSError as error:
        raise FolderUnusable(f"{path}: no node here ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FolderUnusable(f"{path}/{MARKER}: {error}") from error
    if len(marker.node_id) != NODE_ID_BYTES or not _NAME.fullmatch(marker.name):
        raise FolderUnusable(f"{path}/{MARKER}: node_id or name is malformed")
    return marker


def write_marker(path: Path, marker: Marker, disk: Disk = DISK) -> None:
    fields = {key: value.hex() if isinstance(value, bytes) else value for key, value in asdict(marker).items()}
    text = json.dumps({"format": FORMAT, **fields}, indent=2) + "\n"
    write_file(path / MARKER, text.encode(), disk=disk)


def adopt(path: Path, incarnation: bytes, disk: Disk = DISK) -> None:
    """From now on this node belongs to that incarnation of its cluster (after a restore). A host that serves it has
    to open it again."""
    write_marker(path, replace(read_marker(path), incarnation=incarnation), disk)
