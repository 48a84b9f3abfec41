"""The keyring in DIR/keys: `master` (0600) opens everything unattended; `bundle` holds the keys, sealed under it.

Without it no data is readable. So `master.wrapped` (the master under the recovery code) and `bundle` also stand in
every node folder, and either place gives the keyring back with the code. A keyring is made once, as a folder renamed
into place: a crash before that leaves `keys.new`, which nothing was encrypted under and the next start discards. A
folder that lacks a piece is refused with its remedy and never completed by a new key. Rotation replaces the bundle,
never the master, and only ever adds to it. `confirmed` says that somebody has shown the recovery code of this keyring.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cyxcloud.core.durable import DISK, Disk, fsync_dir, make_dirs, remove_file, write_file
from cyxcloud.core.keybundle import Bundle, BundleDamaged, SigningKeys, WrappingKeys
from cyxcloud.core.keywrap import KEY_BYTES, derive
from cyxcloud.core.recovery_code import CLUSTER_ID_BYTES, BadRecoveryCode, RecoveryCode

MASTER = "master"
WRAPPED = "master.wrapped"
BUNDLE = "bundle"
NODE_FOLDER = "keyring"
CONFIRMED = "confirmed"
RECOVER_REMEDY = f"`cyxcloud keys recover` restores it from any node's {NODE_FOLDER}/ folder with the recovery code"

_WRAPPING_SECTION = "wrapping"
_SIGNING_SECTION = "signing"
_SECRETS_INFO = b"cyxcloud access-key secrets v1"
_SEALED_VERSION = b"\x01"
_NONCE_BYTES = 12


class KeyringMissing(Exception):
    """There is no keyring here."""


class KeyringDamaged(Exception):
    """The keyring is incomplete, does not fit together, or a secret was not sealed under it."""


@dataclass(frozen=True, slots=True, repr=False)
class Keyring:
    master: bytes
    wrapped: bytes
    bundle: Bundle
    wrapping: WrappingKeys

    @classmethod
    def create(cls, folder: Path, code: RecoveryCode, *, cluster_id: bytes | None = None, disk: Disk = DISK) -> Keyring:
        """New keys in a new folder; FileExistsError where there is a keyring, whole or not."""
        if folder.exists():
            raise FileExistsError(f"{folder} exists: a second keyring would make the data under the first unreadable")
        master = secrets.token_bytes(KEY_BYTES)
        bundle = Bundle(cluster_id or secrets.token_bytes(CLUSTER_ID_BYTES), {})
        wrapping = WrappingKeys.generate()
        bundle = bundle.with_section(master, _WRAPPING_SECTION, wrapping.encode())
        bundle = bundle.with_section(master, _SIGNING_SECTION, SigningKeys.generate().encode())
        keyring = cls(master, code.wrap_master(master, bundle.cluster_id), bundle, wrapping)
        keyring.save(folder, disk=disk)
        return keyring

    @classmethod
    def open(cls, folder: Path) -> Keyring:
        if not folder.is_dir():
            raise KeyringMissing(f"no keyring in {folder}: {RECOVER_REMEDY}")
        try:
            master, wrapped, sealed = ((folder / name).read_bytes() for name in (MASTER, WRAPPED, BUNDLE))
            return cls._from_parts(master, wrapped, sealed)
        except (OSError, BundleDamaged) as error:
            raise KeyringDamaged(f"the keyring in {folder} is unusable ({error}): {RECOVER_REMEDY}") from error

    @classmethod
    def recover(cls, code: RecoveryCode, wrapped: bytes, bundle: bytes) -> Keyring:
        """From the code and what stands in a node folder; BadRecoveryCode where the code is another's."""
        try:
            return cls._from_parts(code.unwrap_master(wrapped), wrapped, bundle)
        except BundleDamaged as error:
            raise KeyringDamaged(f"{error}: try the copy of another node") from error

    @property
    def cluster_id(self) -> bytes:
        return self.bundle.cluster_id

    def signing(self) -> SigningKeys:
        try:
            return SigningKeys.decode(self.bundle.section(self.master, _SIGNING_SECTION))
        except BundleDamaged as error:
            raise KeyringDamaged(str(error)) from error

    def with_new_wrapping_key(self) -> Keyring:
        """With one more wrapping key, not yet current: it is saved and copied everywhere before it is used."""
        return self._with_wrapping(self.wrapping.with_new_key())

    def with_newest_key_current(self) -> Keyring:
        return self._with_wrapping(self.wrapping.with_newest_current())

    def opens_with(self, code: RecoveryCode) -> bool:
        """Whether this is the code that brings this keyring back."""
        try:
            return secrets.compare_digest(code.unwrap_master(self.wrapped), self.master)
        except BadRecoveryCode:
            return False

    def confirm(self, folder: Path, *, disk: Disk = DISK) -> None:
        """Write down that the recovery code is kept."""
        write_file(folder / CONFIRMED, self._confirmation(), mode=0o600, disk=disk)

    def is_confirmed(self, folder: Path) -> bool:
        try:
            return (folder / CONFIRMED).read_bytes() == self._confirmation()
        except OSError:
            return False

    def save(self, folder: Path, *, disk: Disk = DISK) -> None:
        """Put the whole keyring in place: a new folder by one rename, in an existing one file by file."""
        if folder.exists():
            self._check_same_master(folder)
            self._write(folder, disk)
            return
        fresh = folder.with_name(f"{folder.name}.new")
        make_dirs(folder.parent, disk=disk)
        make_dirs(fresh, mode=0o700, disk=disk)
        for left in fresh.iterdir():
            remove_file(left, disk=disk)
        self._write(fresh, disk)
        disk.rename(fresh, folder)
        fsync_dir(folder.parent, disk=disk)

    def copy_to(self, folder: Path, *, disk: Disk = DISK) -> None:
        """What the recovery code opens, for a node's folder or the mirror's disk: no use without the code."""
        make_dirs(folder, mode=0o700, disk=disk)
        for name, content in ((WRAPPED, self.wrapped), (BUNDLE, self.bundle.encode(self.master))):
            write_file(folder / name, content, mode=0o600, disk=disk)

    def seal_secret(self, owner: str, secret: str) -> bytes:
        """A secret for a metadata row, bound to whom it belongs to (an access key)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        bound_to = _SEALED_VERSION + owner.encode()
        return _SEALED_VERSION + nonce + self._secrets_key().encrypt(nonce, secret.encode(), bound_to)

    def open_secret(self, owner: str, sealed: bytes) -> str:
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._secrets_key().decrypt(nonce, ciphertext, sealed[:1] + owner.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise KeyringDamaged(f"the secret of {owner} was not sealed under this keyring") from error

    def _with_wrapping(self, wrapping: WrappingKeys) -> Keyring:
        bundle = self.bundle.with_section(self.master, _WRAPPING_SECTION, wrapping.encode())
        return replace(self, bundle=bundle, wrapping=wrapping)

    def _confirmation(self) -> bytes:
        """Of this wrapped master alone: beside another one the file says nothing."""
        return hashlib.sha256(b"cyxcloud recovery code kept v1" + self.wrapped).hexdigest().encode() + b"\n"

    def _write(self, folder: Path, disk: Disk) -> None:
        self.copy_to(folder, disk=disk)
        write_file(folder / MASTER, self.master, mode=0o600, disk=disk)

    def _check_same_master(self, folder: Path) -> None:
        present = folder / MASTER
        if present.exists() and present.read_bytes() != self.master:
            raise KeyringDamaged(f"{present} is another master key: move it away first if it is not needed any more")

    def _secrets_key(self) -> AESGCM:
        return AESGCM(derive(self.master, _SECRETS_INFO))

    @classmethod
    def _from_parts(cls, master: bytes, wrapped: bytes, sealed: bytes) -> Keyring:
        if len(master) != KEY_BYTES:
            raise BundleDamaged(f"the master key has {len(master)} bytes, not {KEY_BYTES}")
        bundle = Bundle.decode(master, sealed)
        return cls(master, wrapped, bundle, WrappingKeys.decode(bundle.section(master, _WRAPPING_SECTION)))
