"""The key bundle: one file of sealed sections under the master key (pure).

    magic and version (8) | cluster id (16) | section count (1) | sections | HMAC-SHA256 of all before (32)
    section: name length (1) | name | nonce (12) | sealed length (u16) | AES-256-GCM of the section

Each section has a key of its own, HKDF(master, section name), and is bound to the cluster id and its name; so a
process opens only what it needs, and a section can be replaced without opening the others.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cyxcloud.core.keywrap import KEY_BYTES, derive
from cyxcloud.core.recovery_code import CLUSTER_ID_BYTES

_MAGIC = b"CYXKEYS\x01"
_NONCE_BYTES = 12
_MAC_BYTES = 32
_LENGTH = struct.Struct(">H")
_WRAPPING_HEAD = struct.Struct(">BIH")  # version, current, count
_WRAPPING_ENTRY = struct.Struct(f">I{KEY_BYTES}s")
_SIGNING = struct.Struct(f">B{KEY_BYTES}s{KEY_BYTES}s")  # version, coordinator seed, CA seed


class BundleDamaged(ValueError):
    """The bundle is not whole, or is not of this master key."""


@dataclass(frozen=True, slots=True, repr=False)
class WrappingKeys:
    """The versions of the key that data keys are wrapped under; rows name the one they used."""

    current: int
    keys: dict[int, bytes]

    @classmethod
    def generate(cls) -> WrappingKeys:
        return cls(1, {1: secrets.token_bytes(KEY_BYTES)})

    @property
    def current_key(self) -> bytes:
        return self.keys[self.current]

    @property
    def newest(self) -> int:
        """Not current yet while a rotation is under way."""
        return max(self.keys)

    def with_new_key(self) -> WrappingKeys:
        """One more, not yet current; the old ones stay for good: rows, snapshots and backups are wrapped under them."""
        number = self.newest + 1
        return WrappingKeys(self.current, {**self.keys, number: secrets.token_bytes(KEY_BYTES)})

    def with_newest_current(self) -> WrappingKeys:
        return WrappingKeys(self.newest, self.keys)

    def encode(self) -> bytes:
        entries = [_WRAPPING_ENTRY.pack(key_id, key) for key_id, key in sorted(self.keys.items())]
        return _WRAPPING_HEAD.pack(1, self.current, len(entries)) + b"".join(entries)

    @classmethod
    def decode(cls, data: bytes) -> WrappingKeys:
        version, current, count = _WRAPPING_HEAD.unpack_from(data)
        keys = dict(_WRAPPING_ENTRY.iter_unpack(data[_WRAPPING_HEAD.size :]))
        if version != 1 or len(keys) != count or current not in keys:
            raise BundleDamaged("the wrapping keys are of a format not known here")
        return cls(current, keys)


@dataclass(frozen=True, slots=True, repr=False)
class SigningKeys:
    """Seeds of the coordinator's Ed25519 key and of the CA's. Gateways never ask for them."""

    coordinator: bytes
    authority: bytes

    @classmethod
    def generate(cls) -> SigningKeys:
        return cls(secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES))

    def encode(self) -> bytes:
        return _SIGNING.pack(1, self.coordinator, self.authority)

    @classmethod
    def decode(cls, data: bytes) -> SigningKeys:
        if len(data) != _SIGNING.size or data[0] != 1:
            raise BundleDamaged("the signing keys are of a format not known here")
        _, coordinator, authority = _SIGNING.unpack(data)
        return cls(coordinator, authority)


@dataclass(frozen=True, slots=True)
class Bundle:
    cluster_id: bytes
    sections: dict[str, bytes]  # nonce and ciphertext, by name

    def with_section(self, master: bytes, name: str, content: bytes) -> Bundle:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + AESGCM(_section_key(master, name)).encrypt(nonce, content, self._bound_to(name))
        return replace(self, sections={**self.sections, name: sealed})

    def section(self, master: bytes, name: str) -> bytes:
        sealed = self.sections.get(name)
        if sealed is None:
            raise BundleDamaged(f"the key bundle has no section {name!r}")
        try:
            aead = AESGCM(_section_key(master, name))
            return aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._bound_to(name))
        except InvalidTag:
            raise BundleDamaged(f"section {name!r} of the key bundle does not open") from None

    def encode(self, master: bytes) -> bytes:
        parts = [_MAGIC, self.cluster_id, bytes((len(self.sections),))]
        for name, sealed in sorted(self.sections.items()):
            label = name.encode("ascii")
            parts += [bytes((len(label),)), label, sealed[:_NONCE_BYTES]]
            parts += [_LENGTH.pack(len(sealed) - _NONCE_BYTES), sealed[_NONCE_BYTES:]]
        body = b"".join(parts)
        return body + _mac(master, body)

    @classmethod
    def decode(cls, master: bytes, data: bytes) -> Bundle:
        body, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if not body.startswith(_MAGIC):
            raise BundleDamaged("not a key bundle of a format known here")
        if not hmac.compare_digest(mac, _mac(master, body)):
            raise BundleDamaged("the key bundle is damaged or belongs to another master key")
        # Past the MAC the bytes are our own: what does not parse now would be a fault of this module.
        at = len(_MAGIC) + CLUSTER_ID_BYTES
        sections: dict[str, bytes] = {}
        for _ in range(body[at]):
            name_end = at + 2 + body[at + 1]
            length_at = name_end + _NONCE_BYTES
            end = length_at + _LENGTH.size + _LENGTH.unpack_from(body, length_at)[0]
            sealed = body[name_end:length_at] + body[length_at + _LENGTH.size : end]
            sections[body[at + 2 : name_end].decode("ascii")] = sealed
            at = end - 1
        return cls(body[len(_MAGIC) : len(_MAGIC) + CLUSTER_ID_BYTES], sections)

    def _bound_to(self, name: str) -> bytes:
        return _MAGIC + self.cluster_id + name.encode("ascii")


def cluster_of(data: bytes) -> bytes | None:
    """Whose bundle it says that it is, unproven; None where it is none."""
    start = len(_MAGIC)
    return data[start : start + CLUSTER_ID_BYTES] if data.startswith(_MAGIC) else None


def _section_key(master: bytes, name: str) -> bytes:
    return derive(master, b"cyxcloud bundle v1 section " + name.encode("ascii"))


def _mac(master: bytes, body: bytes) -> bytes:
    return hmac.new(derive(master, b"cyxcloud bundle v1 mac"), body, hashlib.sha256).digest()
