from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cyxcloud.core.identity import IdentityDamaged, NodeIdentity, is_small_order, verify

# The encodings of the points of small order, the non-canonical ones included (as collected in libsodium's blocklist).
SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def test_identity_is_found_again(tmp_path: Path) -> None:
    made = NodeIdentity.create(tmp_path / "identity")
    loaded = NodeIdentity.load(tmp_path / "identity")
    assert loaded.node_id == made.node_id == hashlib.sha256(made.public_key).digest()
    assert (tmp_path / "identity" / "private_key.pem").stat().st_mode & 0o777 == 0o600
    assert verify(made.public_key, b"message", loaded.sign(b"message"))


def test_identity_is_never_made_twice(tmp_path: Path) -> None:
    NodeIdentity.create(tmp_path)
    with pytest.raises(FileExistsError):
        NodeIdentity.create(tmp_path)


@pytest.mark.parametrize("name", ["private_key.pem", "node_id"])
def test_incomplete_identity_is_refused(tmp_path: Path, name: str) -> None:
    NodeIdentity.create(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(IdentityDamaged):
        NodeIdentity.load(tmp_path)


def test_identity_of_another_key_is_refused(tmp_path: Path) -> None:
    NodeIdentity.create(tmp_path)
    (tmp_path / "node_id").write_text("00" * 32)
    with pytest.raises(IdentityDamaged, match="another key"):
        NodeIdentity.load(tmp_path)
    other = generate_private_key(SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "private_key.pem").write_bytes(pem)
    with pytest.raises(IdentityDamaged, match="Ed25519"):
        NodeIdentity.load(tmp_path)


def test_only_the_right_signature_verifies() -> None:
    identity, other = NodeIdentity.generate(), NodeIdentity.generate()
    signature = identity.sign(b"message")
    assert verify(identity.public_key, b"message", signature)
    assert not verify(other.public_key, b"message", signature)
    assert not verify(identity.public_key, b"massage", signature)
    assert not verify(identity.public_key, b"message", signature[:-1])
    assert not verify(identity.public_key[:-1], b"message", signature)
    assert not verify(b"\x02" + bytes(31), b"message", signature)  # no point of the curve


@pytest.mark.parametrize("encoded", SMALL_ORDER)
def test_keys_of_small_order_are_no_keys(encoded: str) -> None:
    key = bytes.fromhex(encoded)
    assert is_small_order(key)
    assert is_small_order(key[:31] + bytes([key[31] ^ 0x80]))
    assert not verify(key, b"anything", bytes([1]) + bytes(63))
    assert not is_small_order(NodeIdentity.generate().public_key)
