"""Who a node is: an Ed25519 key, and an id that is the SHA-256 of its public half.

The folder holds node_id (hex), private_key.pem (0600) and public_key.pem. It is made once; a folder that lacks a piece,
or whose pieces disagree, is refused, never completed: a node with a new key would be another node.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from cyxcloud.core.durable import DISK, Disk, create_file, make_dirs
from cyxcloud.core.ids import NodeId

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

_FIELD = 2**255 - 19
# The y coordinates of the eight points whose order divides 8: identity, order 2, order 4, and the two of order 8.
_SMALL_ORDER_Y = frozenset(
    {
        1,
        _FIELD - 1,
        0,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    }
)


class IdentityDamaged(Exception):
    """The identity folder is missing, incomplete or contradicts itself."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    node_id: NodeId
    public_key: bytes
    private_key: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> NodeIdentity:
        key = Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes_raw()
        return cls(node_id_of(raw), raw, key)

    @classmethod
    def create(cls, folder: Path, disk: Disk = DISK) -> NodeIdentity:
        """A new key in a new folder; fails where one is already there."""
        identity = cls.generate()
        private = identity.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = identity.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        make_dirs(folder, disk=disk)
        create_file(folder / "private_key.pem", private, mode=0o600, disk=disk)
        create_file(folder / "public_key.pem", public, disk=disk)
        create_file(folder / "node_id", identity.node_id.hex().encode() + b"\n", disk=disk)
        return identity

    @classmethod
    def load(cls, folder: Path) -> NodeIdentity:
        try:
            key = load_pem_private_key((folder / "private_key.pem").read_bytes(), None)
            written = (folder / "node_id").read_text().strip()
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise IdentityDamaged(f"{folder}: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise IdentityDamaged(f"{folder}/private_key.pem holds no Ed25519 key")
        raw = key.public_key().public_bytes_raw()
        if node_id_of(raw).hex() != written:
            raise IdentityDamaged(f"{folder}/node_id belongs to another key")
        return cls(node_id_of(raw), raw, key)

    def sign(self, message: bytes) -> bytes:
        return self.private_key.sign(message)


def node_id_of(public_key: bytes) -> NodeId:
    return NodeId(hashlib.sha256(public_key).digest())


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key signed the message. A key of small order signs anything, so it is no key at all."""
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES or is_small_order(public_key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_small_order(public_key: bytes) -> bool:
    """Whether the point has order 1, 2, 4 or 8, in any encoding (with or without sign, y plus p)."""
    y = (int.from_bytes(public_key, "little") & ((1 << 255) - 1)) % _FIELD
    return y in _SMALL_ORDER_Y
