"""The public keys by which nodes sign, where they can be had: a node's id is the SHA-256 of its key, so a key that is
read from anywhere proves itself."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cyxcloud.core.identity import node_id_of
from cyxcloud.core.ids import NodeId
from cyxcloud.meta.rows import NodeRow

_SCHEME = "file://"


class NodeKeys:
    """Nodes of this box: the key stands in the node's folder."""

    def __init__(self) -> None:
        self._known: dict[NodeId, bytes] = {}

    def of(self, row: NodeRow) -> bytes | None:
        """None where it is not at hand: the folder is elsewhere, gone or another node's."""
        known = self._known.get(row.node_id)
        if known is None and row.endpoint.startswith(_SCHEME):
            found = _read(Path(unquote(row.endpoint.removeprefix(_SCHEME))))
            if found is not None and node_id_of(found) == row.node_id:
                known = self._known[row.node_id] = found
        return known


def _read(folder: Path) -> bytes | None:
    try:
        key = load_pem_public_key((folder / "identity" / "public_key.pem").read_bytes())
    except (OSError, ValueError):
        return None
    return key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else None
