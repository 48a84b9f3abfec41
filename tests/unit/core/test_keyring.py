from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cyxcloud.core import keyring as module
from cyxcloud.core.durable import SystemDisk
from cyxcloud.core.keybundle import Bundle, BundleDamaged, SigningKeys, WrappingKeys
from cyxcloud.core.keyring import BUNDLE, MASTER, WRAPPED, Keyring, KeyringDamaged, KeyringMissing
from cyxcloud.core.recovery_code import BadRecoveryCode, RecoveryCode

CODE = RecoveryCode(bytes(range(16)))
MASTER_KEY, CLUSTER = bytes(range(32)), bytes(range(16))

# A bundle of format v1, made once: what stands on disks must open for ever.
GOLDEN_BUNDLE = bytes.fromhex(
    "4359584b45595301000102030405060708090a0b0c0d0e0f02077369676e696e67eb58c9b70d21bc4cfa1ec548005169965c"
    "5aeab47ead45b88a73fc13f1aa483eceaf5eb9f6af18dfab7b2343859f833d23b4bb56464f3caefe25da2528377f7e2c5623"
    "17b6cda51fa8f0ebf89b72b51576470a44cdf4ae907da94f3edfa703087772617070696e674afbbf6ed41a21a12166177d00"
    "5f5d8a74c8d1ff14f442c1834a980841e464c0ec78ade541b17f2fb0493f3b0514c2ec8945c979c5cd123870cbd2f933b8c9"
    "d9a75cdc4c01058b8a2eec29ceb6a87e7e21d83481870a422c73711560609dce94d213c1f9dde0fb97e5e6b6297990f199e3"
    "d13e6b6806588db500b2b1046c0858653aca0c0c445be8029359ed84"
)


def test_golden_bundle() -> None:
    bundle = Bundle.decode(MASTER_KEY, GOLDEN_BUNDLE)
    assert bundle.cluster_id == CLUSTER
    wrapping = WrappingKeys.decode(bundle.section(MASTER_KEY, "wrapping"))
    assert wrapping == WrappingKeys(2, {1: bytes([1] * 32), 2: bytes([2] * 32)})
    signing = SigningKeys.decode(bundle.section(MASTER_KEY, "signing"))
    assert signing == SigningKeys(bytes([3] * 32), bytes([4] * 32))
    assert bundle.encode(MASTER_KEY) == GOLDEN_BUNDLE


def test_every_flipped_bit_and_cut_of_a_bundle_is_noticed() -> None:
    for at in range(len(GOLDEN_BUNDLE)):
        flipped = bytearray(GOLDEN_BUNDLE)
        flipped[at] ^= 1
        with pytest.raises(BundleDamaged):
            Bundle.decode(MASTER_KEY, bytes(flipped))
        with pytest.raises(BundleDamaged):
            Bundle.decode(MASTER_KEY, GOLDEN_BUNDLE[:at])
    with pytest.raises(BundleDamaged):
        Bundle.decode(bytes(32), GOLDEN_BUNDLE)


def test_sections_are_bound_to_their_name_and_cluster() -> None:
    bundle = Bundle(CLUSTER, {}).with_section(MASTER_KEY, "one", b"1").with_section(MASTER_KEY, "two", b"2")
    swapped = Bundle(CLUSTER, {"one": bundle.sections["two"], "two": bundle.sections["one"]})
    elsewhere = Bundle(bytes(16), bundle.sections)
    assert bundle.section(MASTER_KEY, "one") == b"1"
    for other in (swapped, elsewhere, Bundle(CLUSTER, {})):
        with pytest.raises(BundleDamaged):
            other.section(MASTER_KEY, "one")


@pytest.mark.parametrize("kind", [WrappingKeys, SigningKeys])
def test_keys_of_another_format_are_refused(kind: type[WrappingKeys | SigningKeys]) -> None:
    encoded = kind.generate().encode()
    for other in (b"\x02" + encoded[1:], encoded + bytes(36)):
        with pytest.raises(BundleDamaged):
            kind.decode(other)


def test_create_then_open(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "keys"
    made = Keyring.create(folder, CODE)
    found = Keyring.open(folder)
    assert (found.cluster_id, found.wrapping, found.signing()) == (made.cluster_id, made.wrapping, made.signing())
    assert sorted(path.name for path in folder.iterdir()) == [BUNDLE, MASTER, WRAPPED]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len((folder / MASTER).read_bytes()) == 32
    assert (made.wrapping.current, len(made.wrapping.current_key)) == (1, 32)


def test_create_takes_the_cluster_id_given(tmp_path: Path) -> None:
    assert Keyring.create(tmp_path / "keys", CODE, cluster_id=CLUSTER).cluster_id == CLUSTER


def test_a_keyring_is_never_made_over_another(tmp_path: Path) -> None:
    Keyring.create(tmp_path / "keys", CODE)
    before = (tmp_path / "keys" / MASTER).read_bytes()
    with pytest.raises(FileExistsError):
        Keyring.create(tmp_path / "keys", CODE)
    (tmp_path / "keys" / MASTER).unlink()
    with pytest.raises(FileExistsError):
        Keyring.create(tmp_path / "keys", CODE)
    assert before not in (tmp_path / "keys" / BUNDLE).read_bytes()


def test_missing_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(KeyringMissing, match="recovery code"):
        Keyring.open(tmp_path / "keys")


@pytest.mark.parametrize("name", [MASTER, BUNDLE, WRAPPED])
def test_a_piece_lost_is_damaged(tmp_path: Path, name: str) -> None:
    Keyring.create(tmp_path / "keys", CODE)
    (tmp_path / "keys" / name).unlink()
    with pytest.raises(KeyringDamaged, match="recovery code"):
        Keyring.open(tmp_path / "keys")


@pytest.mark.parametrize("name", [MASTER, BUNDLE])
def test_a_piece_truncated_or_of_another_store_is_damaged(tmp_path: Path, name: str) -> None:
    Keyring.create(tmp_path / "keys", CODE)
    Keyring.create(tmp_path / "other", CODE)
    for content in (b"", (tmp_path / "keys" / name).read_bytes()[:-1], (tmp_path / "other" / name).read_bytes()):
        (tmp_path / "keys" / name).write_bytes(content)
        with pytest.raises(KeyringDamaged):
            Keyring.open(tmp_path / "keys")


def test_recovered_from_a_node_folder(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    node = tmp_path / "nodes" / "n1" / module.NODE_FOLDER
    made.copy_to(node)
    assert sorted(path.name for path in node.iterdir()) == [BUNDLE, WRAPPED]
    wrapped, bundle = (node / WRAPPED).read_bytes(), (node / BUNDLE).read_bytes()
    Keyring.recover(CODE, wrapped, bundle).save(tmp_path / "new home")
    found = Keyring.open(tmp_path / "new home")
    assert (found.cluster_id, found.wrapping, found.signing()) == (made.cluster_id, made.wrapping, made.signing())
    with pytest.raises(BadRecoveryCode):
        Keyring.recover(RecoveryCode(bytes(16)), wrapped, bundle)
    with pytest.raises(KeyringDamaged, match="another node"):
        Keyring.recover(CODE, wrapped, bundle[:-1])


def test_recovered_over_a_damaged_folder(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    (tmp_path / "keys" / MASTER).unlink()
    (tmp_path / "keys" / BUNDLE).write_bytes(b"")
    Keyring.recover(CODE, made.wrapped, made.bundle.encode(made.master)).save(tmp_path / "keys")
    assert Keyring.open(tmp_path / "keys").wrapping == made.wrapping
    with pytest.raises(KeyringDamaged, match="another master"):
        Keyring.create(tmp_path / "other", CODE).save(tmp_path / "keys")


def test_rotation_keeps_old_keys_and_the_code(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    made.with_new_wrapping_key().save(tmp_path / "keys")
    assert (Keyring.open(tmp_path / "keys").wrapping.current, Keyring.open(tmp_path / "keys").wrapping.newest) == (1, 2)
    Keyring.open(tmp_path / "keys").with_newest_key_current().save(tmp_path / "keys")
    found = Keyring.open(tmp_path / "keys")
    assert found.wrapping.current == 2
    assert found.wrapping.keys[1] == made.wrapping.current_key != found.wrapping.current_key
    assert (found.master, found.wrapped, found.signing()) == (made.master, made.wrapped, made.signing())


def test_secrets_open_only_for_their_owner(tmp_path: Path) -> None:
    keyring = Keyring.create(tmp_path / "keys", CODE)
    sealed = keyring.seal_secret("AKIA1", "wJalrXUtnFEMI/é")
    assert keyring.open_secret("AKIA1", sealed) == "wJalrXUtnFEMI/é"
    assert keyring.seal_secret("AKIA1", "wJalrXUtnFEMI/é") != sealed
    for owner, data in (("AKIA2", sealed), ("AKIA1", b"\x02" + sealed[1:]), ("AKIA1", sealed[:-1]), ("AKIA1", b"")):
        with pytest.raises(KeyringDamaged, match=owner):
            keyring.open_secret(owner, data)
    with pytest.raises(KeyringDamaged):
        Keyring.create(tmp_path / "other", CODE).open_secret("AKIA1", sealed)


def test_golden_secret() -> None:
    sealed = bytes.fromhex("016383e815c56aff7dca58389214da2badedbbc7ed9b1406afe0ed59ae35ee78f271b4")
    keyring = Keyring(MASTER_KEY, b"", Bundle(CLUSTER, {}), WrappingKeys(1, {1: bytes(32)}))
    assert keyring.open_secret("AKIA1", sealed) == "secret"


def test_nothing_secret_in_a_repr(tmp_path: Path) -> None:
    keyring = Keyring.create(tmp_path / "keys", CODE)
    shown = f"{keyring!r} {keyring.wrapping!r} {keyring.signing()!r}"
    assert str(keyring.master) not in shown
    assert str(keyring.wrapping.current_key) not in shown


class FailingDisk(SystemDisk):
    """Fails at its Nth operation, and after it at all others: the process is gone."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if name in ("left", "__class__") or not callable(found):
            return found
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "gone")
        return found


def test_a_crash_at_any_operation_of_create_leaves_a_whole_keyring_or_none(tmp_path: Path) -> None:
    for nth in range(1000):
        folder = tmp_path / str(nth) / "keys"
        try:
            Keyring.create(folder, CODE, disk=FailingDisk(nth))
        except OSError:
            pass
        else:
            break
        if folder.exists():
            Keyring.open(folder)
        else:
            Keyring.create(folder, CODE)  # what was left is discarded
            assert sorted(path.name for path in folder.iterdir()) == [BUNDLE, MASTER, WRAPPED]
    assert nth > 15
    Keyring.open(folder)


def test_a_crash_at_any_operation_of_rotation_leaves_a_whole_keyring(tmp_path: Path) -> None:
    made = Keyring.create(tmp_path / "keys", CODE)
    rotated = made.with_new_wrapping_key().with_newest_key_current()
    for nth in range(1000):
        try:
            rotated.save(tmp_path / "keys", disk=FailingDisk(nth))
        except OSError:
            assert Keyring.open(tmp_path / "keys").wrapping in (made.wrapping, rotated.wrapping)
        else:
            break
    assert nth > 10
    assert Keyring.open(tmp_path / "keys").wrapping == rotated.wrapping
