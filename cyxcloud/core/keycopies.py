"""The copies of a keyring outside its home, and its export: a wrapped master and a bundle, no use without the code.

A copy may be old: its node was away while the keys were rotated. Bundles only ever gain keys, so of the copies that the
code opens the one with the newest key holds everything that the others hold.

Export: magic and version (8) | length of the wrapped master (u32) | wrapped master | bundle to the end. Both parts
carry their own check.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cyxcloud.core.durable import DISK, Disk
from cyxcloud.core.keybundle import cluster_of
from cyxcloud.core.keyring import BUNDLE, WRAPPED, Keyring, KeyringDamaged, KeyringMissing
from cyxcloud.core.recovery_code import BadRecoveryCode, RecoveryCode

_MAGIC = b"CYXEXPT\x01"
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Copy:
    """`source` is for people."""

    source: str
    wrapped: bytes
    bundle: bytes


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Folders that hold the keyring as it is now, and those that could not be written, with the reason."""

    current: tuple[Path, ...]
    missed: tuple[tuple[Path, str], ...]


def refresh(keyring: Keyring, folders: Iterable[Path], *, disk: Disk = DISK) -> Refreshed:
    """Bring the copies in these folders (each in a node's folder, which must be there) up to the keyring."""
    current: list[Path] = []
    missed: list[tuple[Path, str]] = []
    for folder in folders:
        try:
            if not folder.parent.is_dir():
                missed.append((folder, "its folder is not there"))
                continue
            if _is_anothers(keyring, folder):
                missed.append((folder, "it holds the keyring of another store"))
                continue
            if not _is_current(keyring, folder):
                keyring.copy_to(folder, disk=disk)
            current.append(folder)
        except OSError as error:
            missed.append((folder, error.strerror or str(error)))
    return Refreshed(tuple(current), tuple(missed))


def read_copy(folder: Path) -> Copy | None:
    """None where there is none, or only a part of one."""
    try:
        return Copy(str(folder), (folder / WRAPPED).read_bytes(), (folder / BUNDLE).read_bytes())
    except OSError:
        return None


def newest(code: RecoveryCode, copies: Iterable[Copy]) -> tuple[Keyring, Copy]:
    """The keyring that knows most. KeyringMissing without any copy; BadRecoveryCode where the code opens none;
    KeyringDamaged where those that it opens are not whole."""
    best: tuple[Keyring, Copy] | None = None
    failures: list[Exception] = []
    for copy in copies:
        try:
            found = Keyring.recover(code, copy.wrapped, copy.bundle)
        except (BadRecoveryCode, KeyringDamaged) as error:
            failures.append(error)
            continue
        if best is None or _knowledge(found) > _knowledge(best[0]):
            best = found, copy
    if best is not None:
        return best
    if not failures:
        raise KeyringMissing("no copy of the keyring was found")
    raise next((each for each in failures if isinstance(each, KeyringDamaged)), failures[0])


def encode_export(keyring: Keyring) -> bytes:
    bundle = keyring.bundle.encode(keyring.master)
    return b"".join((_MAGIC, _LENGTH.pack(len(keyring.wrapped)), keyring.wrapped, bundle))


def decode_export(data: bytes, source: str) -> Copy:
    """KeyringDamaged where it is no export; what it holds is checked when it is opened."""
    start = len(_MAGIC) + _LENGTH.size
    if not data.startswith(_MAGIC) or len(data) < start:
        raise KeyringDamaged(f"{source} is not an exported keyring of a format known here")
    (length,) = _LENGTH.unpack_from(data, len(_MAGIC))
    return Copy(source, data[start : start + length], data[start + length :])


def _is_current(keyring: Keyring, folder: Path) -> bool:
    found = read_copy(folder)
    return (
        found is not None and found.wrapped == keyring.wrapped and found.bundle == keyring.bundle.encode(keyring.master)
    )


def _is_anothers(keyring: Keyring, folder: Path) -> bool:
    """Whether a node of another store stands there: its copy may be the last one."""
    found = read_copy(folder)
    whose = None if found is None else cluster_of(found.bundle)
    return whose is not None and whose != keyring.cluster_id


def _knowledge(keyring: Keyring) -> tuple[int, int]:
    return keyring.wrapping.newest, keyring.wrapping.current
