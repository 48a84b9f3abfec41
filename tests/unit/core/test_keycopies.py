from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cyxcloud.core.keybundle import Bundle, WrappingKeys
from cyxcloud.core.keycopies import Copy, decode_export, encode_export, newest, read_copy, refresh
from cyxcloud.core.keyring import BUNDLE, CONFIRMED, WRAPPED, Keyring, KeyringDamaged, KeyringMissing
from cyxcloud.core.recovery_code import BadRecoveryCode, RecoveryCode
from tests.unit.core.test_keyring import CODE, FailingDisk


def node_folders(tmp_path: Path, count: int) -> list[Path]:
    folders = [tmp_path / f"n{number}" / "keyring" for number in range(count)]
    for folder in folders:
        folder.parent.mkdir()
    return folders


def test_refresh_writes_what_is_old_and_leaves_what_is_current(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    folders = node_folders(tmp_path, 3)
    assert refresh(made, folders).current == tuple(folders)
    before = (folders[0] / BUNDLE).stat().st_ino
    refresh(made, folders)
    assert (folders[0] / BUNDLE).stat().st_ino == before
    rotated = made.with_new_wrapping_key()
    refresh(rotated, folders)
    assert (folders[0] / BUNDLE).read_bytes() == rotated.bundle.encode(rotated.master)


def test_refresh_makes_no_folder_for_a_node_that_is_gone(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    present, gone = node_folders(tmp_path, 2)
    gone.parent.rmdir()
    refreshed = refresh(made, [present, gone])
    assert refreshed.current == (present,)
    assert [folder for folder, _ in refreshed.missed] == [gone]
    assert not gone.parent.exists()


def test_refresh_goes_on_past_a_folder_that_fails(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    folders = node_folders(tmp_path, 2)
    (folders[0]).write_bytes(b"a file where the folder should be")
    refreshed = refresh(made, folders)
    assert refreshed.current == (folders[1],)
    assert refreshed.missed[0][0] == folders[0]


def test_refresh_never_writes_over_the_keyring_of_another_store(tmp_path: Path) -> None:
    ours, theirs = (Keyring.create(tmp_path / name, CODE) for name in ("ours", "theirs"))
    (folder,) = node_folders(tmp_path, 1)
    theirs.copy_to(folder)
    refreshed = refresh(ours, [folder])
    assert (refreshed.current, [each for each, _ in refreshed.missed]) == ((), [folder])
    assert read_copy(folder) == Copy(str(folder), theirs.wrapped, theirs.bundle.encode(theirs.master))


def test_a_crash_at_any_operation_of_refresh_leaves_copies_that_open(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    (folder,) = node_folders(tmp_path, 1)
    rotated = made.with_new_wrapping_key()
    for nth in range(1000):
        refresh(made, [folder])
        if refresh(rotated, [folder], disk=FailingDisk(nth)).current:
            break
        copy = read_copy(folder)
        assert copy is not None
        assert newest(CODE, [copy])[0].wrapping in (made.wrapping, rotated.wrapping)
    assert nth > 5


def test_newest_takes_the_copy_that_knows_most(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    added = made.with_new_wrapping_key()
    rotated = added.with_newest_key_current()
    copies = [
        Copy(name, made.wrapped, each.bundle.encode(made.master))
        for name, each in (("old", made), ("rotated", rotated), ("added", added), ("older", made))
    ]
    for order in (copies, copies[::-1]):
        keyring, source = newest(CODE, order)
        assert (keyring.wrapping, source.source) == (rotated.wrapping, "rotated")


def test_newest_passes_over_damaged_and_foreign_copies(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    other = Keyring.create(tmp_path / "other", RecoveryCode(bytes(16)))
    good = Copy("good", made.wrapped, made.bundle.encode(made.master))
    cut = Copy("cut", made.wrapped, good.bundle[:-1])
    foreign = Copy("foreign", other.wrapped, other.bundle.encode(other.master))
    assert newest(CODE, [cut, foreign, good])[1] is good
    with pytest.raises(KeyringDamaged):
        newest(CODE, [foreign, cut])
    with pytest.raises(BadRecoveryCode):
        newest(CODE, [foreign])
    with pytest.raises(KeyringMissing):
        newest(CODE, [])


def test_half_a_copy_is_none(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    made.copy_to(tmp_path / "copy")
    for name in (WRAPPED, BUNDLE):
        shutil.copytree(tmp_path / "copy", tmp_path / f"without-{name}")
        (tmp_path / f"without-{name}" / name).unlink()
        assert read_copy(tmp_path / f"without-{name}") is None


def test_export_opens_with_the_code_alone(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    data = encode_export(made)
    assert made.master not in data
    assert made.wrapping.current_key not in data
    found, _ = newest(CODE, [decode_export(data, "file")])
    assert (found.master, found.wrapping) == (made.master, made.wrapping)
    for end in (0, 7, 11, len(data) - 1):
        with pytest.raises((KeyringDamaged, BadRecoveryCode)):
            newest(CODE, [decode_export(data[:end], "file")])


def test_golden_export() -> None:
    keyring = Keyring(bytes(32), b"wrapped", Bundle(bytes(16), {}), WrappingKeys(1, {1: bytes(32)}))
    data = encode_export(keyring)
    assert data[:19].hex() == "4359584558505401" + "00000007" + b"wrapped".hex()
    assert decode_export(data, "file") == Copy("file", b"wrapped", keyring.bundle.encode(bytes(32)))


def test_confirmation_holds_for_its_own_keyring_alone(tmp_path: Path) -> None:
    made, other = Keyring.create(tmp_path / "keys", CODE), Keyring.create(tmp_path / "other", CODE)
    assert not made.is_confirmed(tmp_path / "keys")
    made.confirm(tmp_path / "keys")
    assert made.is_confirmed(tmp_path / "keys")
    assert made.with_new_wrapping_key().is_confirmed(tmp_path / "keys")
    shutil.copy(tmp_path / "keys" / CONFIRMED, tmp_path / "other")
    assert not other.is_confirmed(tmp_path / "other")


def test_only_its_own_code_opens_a_keyring(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    assert made.opens_with(CODE)
    assert not made.opens_with(RecoveryCode(bytes(16)))
