"""Makes a local node: its folder, whole, with a copy of the sealed keyring, and the row for it."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.ids import NodeNumber
from cyxcloud.core.keyring import NODE_FOLDER, Keyring
from cyxcloud.meta.rows import DOWN, NodeRow
from nodefs.provision import create_node

UNNUMBERED = NodeNumber(0)


def new_node(keyring: Keyring, incarnation: bytes, name: str, data_dir: Path, now_ms: int) -> NodeRow:
    """Down until its host has opened it, and without a number, which the transaction that adds it gives."""
    public_key = Ed25519PrivateKey.from_private_bytes(keyring.signing().coordinator).public_key()
    folder = data_dir / "nodes" / name
    node_id = create_node(folder, name, keyring.cluster_id, incarnation, public_key.public_bytes_raw())
    keyring.copy_to(folder / NODE_FOLDER)
    return NodeRow(
        number=UNNUMBERED,
        node_id=node_id,
        name=name,
        endpoint=folder.as_uri(),
        host="local",
        disk=str(data_dir),
        zone="",
        operator="",
        state=DOWN,
        reason="not opened yet",
        total_bytes=0,
        used_bytes=0,
        free_bytes=0,
        shard_count=0,
        seen_at_ms=now_ms,
        joined_at_ms=now_ms,
        since_ms=now_ms,
    )
