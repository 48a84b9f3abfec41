"""What a node gets when it has been emptied: canonical JSON, signed by the coordinator's key (pure).

The bytes that were signed are kept as they are. Keys are sorted and nothing stands between them, so any program can
write the same body; the prefix keeps a receipt from passing for an order or a heartbeat.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.identity import verify

VERSION = 1
_PREFIX = b"cyxcloud drain receipt v1\x00"


class BadReceipt(Exception):
    """It was not signed by this key, or does not say what a receipt says."""


@dataclass(frozen=True, slots=True)
class DrainReceipt:
    """Ids are hexadecimal. `shards` and `bytes` lay on the node when its drain began; of what lay there at any time
    until the end, `shards_moved` and `bytes_moved` were made durable on others before they were deleted there."""

    cluster: str
    incarnation: str
    node: str
    name: str
    shards: int
    bytes: int
    shards_moved: int
    bytes_moved: int
    begun_at_ms: int
    ended_at_ms: int
    version: int = VERSION


def sign_receipt(key: Ed25519PrivateKey, receipt: DrainReceipt) -> tuple[bytes, bytes]:
    """The body and its signature."""
    body = json.dumps(asdict(receipt), sort_keys=True, separators=(",", ":")).encode()
    return body, key.sign(_PREFIX + body)


def verify_receipt(public_key: bytes, body: bytes, signature: bytes) -> DrainReceipt:
    """What the coordinator of this key has signed; BadReceipt for anything else."""
    if not verify(public_key, _PREFIX + body, signature):
        raise BadReceipt("the signature is not this coordinator's")
    try:
        receipt = DrainReceipt(**json.loads(body))
    except (TypeError, ValueError) as error:
        raise BadReceipt(f"signed, but no drain receipt: {error}") from error
    if receipt.version != VERSION:
        raise BadReceipt(f"a receipt of version {receipt.version}; this program knows {VERSION}")
    return receipt
