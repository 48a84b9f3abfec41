"""What a node of a fleet keeps beside its node folder's own: whose fleet it is, its certificate, where it serves.

Written whole with the folder when the node joins; afterwards only the certificate changes, by rename.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cyxcloud.core.certificates import TlsIdentity
from cyxcloud.core.durable import DISK, Disk, write_file
from cyxcloud.core.identity import NodeIdentity
from nodefs.folder import FolderUnusable

FLEET = "fleet.json"
AUTHORITY = Path("identity") / "authority.pem"
CERTIFICATE = Path("identity") / "certificate.pem"
SEQUENCE = Path("metadata") / "heartbeat.sequence"
DENIED = Path("metadata") / "denied.json"
REFUSED = Path("logs") / "refused.log"


@dataclass(frozen=True, slots=True)
class FleetFile:
    """`url` is the fleet's listener; `listen` HOST:PORT where this node serves shards, empty where it only dials.
    `token`: the hash of the one that it joined with, used up long since."""

    url: str
    listen: str
    token: str = ""

    def encode(self) -> bytes:
        return json.dumps({"format": 1, **asdict(self)}, indent=2).encode() + b"\n"


def read_fleet(root: Path) -> FleetFile:
    """Raises FolderUnusable."""
    try:
        fields = json.loads((root / FLEET).read_text())
        return FleetFile(str(fields["url"]), str(fields["listen"]), str(fields["token"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderUnusable(
            f"{root}: no node of a fleet here ({error}); make one with `cyxcloud node init`"
        ) from error


def read_identity(root: Path, node: NodeIdentity) -> TlsIdentity:
    """Raises FolderUnusable."""
    try:
        return TlsIdentity((root / AUTHORITY).read_bytes(), (root / CERTIFICATE).read_bytes(), node.private_key)
    except OSError as error:
        raise FolderUnusable(f"{root}: its certificate cannot be read ({error})") from error


def write_certificate(root: Path, certificate: str, disk: Disk = DISK) -> None:
    write_file(root / CERTIFICATE, certificate.encode(), disk=disk)
