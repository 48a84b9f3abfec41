"""`cyxcloud keys` on a stopped store: what scripts call, what is refused."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from cli import keyrotation
from cli.bootstrap import open_store
from cli.home import Home, stopped
from cli.main import app
from cli.options import CommandError
from cli.store import open_existing
from cyxcloud.core import config, keywrap
from cyxcloud.core.config import FirstStart
from cyxcloud.core.ids import AccountId, BlobId, BucketId, VersionId
from cyxcloud.core.keycopies import newest, read_copy
from cyxcloud.core.keyring import BUNDLE, MASTER, WRAPPED, Keyring
from cyxcloud.core.keywrap import Mode
from cyxcloud.core.recovery_code import RecoveryCode
from cyxcloud.meta import blobs, buckets, cluster, heads, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketRow, NewVersion, SegmentRow, Versioning
from tests.unit.core.test_keyring import CODE

DEK = bytes(range(32))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home.of([tmp_path / "data"])
    start(found)
    return found


def start(home: Home) -> None:
    given = FirstStart(recovery_code=SecretStr(CODE.text()))
    open_store(home, config.load(home.path, {"nodes": 3, "profile": "2+1"}), given)


def run(*arguments: object, code: int = 0, answer: str | None = None) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=answer)
    assert result.exit_code == code, result.output
    return result.output


def run_json(*arguments: object) -> Any:
    return json.loads(run(*arguments, "--json"))


def keys(home: Home, command: str, *arguments: object, code: int = 0, answer: str | None = None) -> str:
    return run("keys", command, *arguments, "--data", home.path, code=code, answer=answer)


def add_object(home: Home) -> None:
    """A version whose data key is under the keyring."""
    keyring = Keyring.open(home.keys)
    blob, current = BlobId(1 << 32 | 1), keyring.wrapping.current
    dek = keywrap.wrap(keyring.wrapping.current_key, blob, Mode.SSE_S3, DEK)
    segment = SegmentRow(blob, 0, 4, dek, current, Mode.SSE_S3, b"c")
    version = NewVersion(
        VersionId(1 << 32 | 2), BucketId(5), b"key", True, False, 4, "e", 1, AccountId(1), "STANDARD", 0, None, b"",
        (segment,),
    )  # fmt: skip

    def request(conn: Connection) -> None:
        buckets.create(conn, BucketRow(BucketId(5), "b", AccountId(1), "r", 1, Versioning.OFF, 1))
        blobs.insert_inline(conn, blob, b"body")
        versions.insert_current(conn, version, heads.lock(conn, BucketId(5), b"key").head)

    with open_existing(home) as store:
        store.change(request)


def dek_of_object(home: Home, keyring: Keyring) -> tuple[int, bytes]:
    with open_existing(home) as store:
        row = versions.read(store.reader, VersionId(1 << 32 | 2))
    assert row is not None
    assert row.segment is not None
    segment = row.segment
    key = keyring.wrapping.keys[segment.key_id]
    return segment.key_id, keywrap.unwrap(key, segment.blob, Mode.SSE_S3, segment.dek)


def copies(home: Home) -> list[Path]:
    return sorted(home.path.glob("nodes/*/keyring"))


# confirm


def test_status_is_yellow_until_the_code_is_confirmed(home: Home) -> None:
    (home.keys / "confirmed").unlink()
    value = run_json("status", "--data", home.path)
    assert (value["state"], value["keys"]["confirmed"]) == ("yellow", False)
    assert "keys confirm" in value["reasons"][0]
    keys(home, "confirm", "--recovery-code", CODE.text().lower())
    value = run_json("status", "--data", home.path)
    assert (value["state"], value["keys"]["confirmed"], value["reasons"]) == ("green", True, [])


def test_a_code_given_at_the_first_start_is_confirmed_and_a_made_one_is_not(home: Home, tmp_path: Path) -> None:
    assert Keyring.open(home.keys).is_confirmed(home.keys)
    other = Home.of([tmp_path / "other"])
    open_store(other, config.load(other.path, {"nodes": 3, "profile": "2+1"}), FirstStart())
    assert not Keyring.open(other.keys).is_confirmed(other.keys)


@pytest.mark.parametrize("way", ["option", "environment", "stdin"])
def test_confirm_takes_the_code_in_three_ways(home: Home, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    (home.keys / "confirmed").unlink()
    if way == "environment":
        monkeypatch.setenv("CYXCLOUD_RECOVERY_CODE", CODE.text())
    option = ("--recovery-code", CODE.text()) if way == "option" else ()
    keys(home, "confirm", *option, answer=f"{CODE.text()}\n" if way == "stdin" else None)
    assert Keyring.open(home.keys).is_confirmed(home.keys)


def test_confirm_refuses_another_code_and_a_mistyped_one(home: Home) -> None:
    (home.keys / "confirmed").unlink()
    assert "not the one of this store" in keys(
        home, "confirm", "--recovery-code", RecoveryCode(bytes(16)).text(), code=1
    )
    assert "mistyped" in keys(home, "confirm", "--recovery-code", "0" + CODE.text()[1:-1] + "Z", code=1)
    assert "no recovery code" in keys(home, "confirm", code=1)
    assert not Keyring.open(home.keys).is_confirmed(home.keys)


# rotate


def test_rotate_and_wait_wraps_everything_anew_and_tells(home: Home) -> None:
    add_object(home)
    with open_existing(home) as store:
        before = cluster.epochs(store.reader).keys
    value = json.loads(keys(home, "rotate", "--wait", "--json"))
    assert (value["current"], value["copies"], value["missed"]) == (2, 3, [])
    assert value["rewrap"]["complete"]
    keyring = Keyring.open(home.keys)
    assert (keyring.wrapping.current, sorted(keyring.wrapping.keys)) == (2, [1, 2])
    assert dek_of_object(home, keyring) == (2, DEK)
    with open_existing(home) as store:
        assert cluster.epochs(store.reader).keys > before
    for folder in copies(home):
        copy = read_copy(folder)
        assert copy is not None
        assert newest(CODE, [copy])[0].wrapping == keyring.wrapping


def test_rotate_without_wait_leaves_it_to_the_store(home: Home) -> None:
    add_object(home)
    keys(home, "rotate")
    value = run_json("status", "--data", home.path)["keys"]
    assert (value["current"], value["rewrap"]["complete"]) == (2, False)
    assert dek_of_object(home, Keyring.open(home.keys)) == (1, DEK)


def test_rotate_goes_on_without_a_node_and_the_next_start_gives_it_the_keys(home: Home) -> None:
    away = copies(home)[0].parent
    away.rename(home.path / "away")
    value = json.loads(keys(home, "rotate", "--json"))
    assert (value["copies"], [each["folder"] for each in value["missed"]]) == (2, [str(away / "keyring")])
    (home.path / "away").rename(away)
    start(home)
    copy = read_copy(away / "keyring")
    assert copy is not None
    assert newest(CODE, [copy])[0].wrapping == Keyring.open(home.keys).wrapping


def test_rotate_refuses_to_use_a_key_that_most_copies_lack(home: Home) -> None:
    away = [folder.parent for folder in copies(home)[:2]]
    for node in away:
        node.rename(home.path / node.name)
    assert "nothing uses it yet" in keys(home, "rotate", code=1)
    assert Keyring.open(home.keys).wrapping.current == 1
    for node in away:
        (home.path / node.name).rename(node)
    keys(home, "rotate")
    keyring = Keyring.open(home.keys)
    assert (keyring.wrapping.current, sorted(keyring.wrapping.keys)) == (2, [1, 2]), "the key made before is used"


def test_one_rotation_at_a_time(home: Home) -> None:
    with keyrotation._alone(home.keys):
        assert "another rotation" in keys(home, "rotate", code=1)
    assert Keyring.open(home.keys).wrapping.current == 1


# export and recover


def test_export_is_sealed_private_and_never_written_over(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "stick.keyring"
    keys(home, "export", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Keyring.open(home.keys).master not in file.read_bytes()
    assert "exists" in keys(home, "export", file, code=1)


def damage(home: Home, tmp_path: Path, how: str) -> None:
    match how:
        case "deleted":
            shutil.rmtree(home.keys)
        case "swapped":
            other = Home.of([tmp_path / "other"])
            open_store(other, config.load(other.path, {"nodes": 3, "profile": "2+1"}), FirstStart())
            for name in (MASTER, WRAPPED, BUNDLE):
                shutil.copy(other.keys / name, home.keys / name)
        case "older":
            kept = {name: (home.keys / name).read_bytes() for name in (WRAPPED, BUNDLE)}
            keys(home, "rotate", "--wait")
            for name, content in kept.items():
                (home.keys / name).write_bytes(content)
        case _:
            piece = home.keys / how
            piece.write_bytes(piece.read_bytes()[:-1])


@pytest.mark.parametrize("how", ["deleted", "swapped", "older", MASTER, BUNDLE])
def test_a_keyring_that_is_not_the_stores_is_refused_with_the_remedy_and_recovered(
    home: Home, tmp_path: Path, how: str
) -> None:
    add_object(home)
    damage(home, tmp_path, how)
    with pytest.raises(CommandError, match="cyxcloud keys recover"):
        start(home)
    assert "cyxcloud keys recover" in run("status", "--data", home.path, code=1)
    keys(home, "recover", "--recovery-code", CODE.text())
    keyring = Keyring.open(home.keys)
    assert dek_of_object(home, keyring)[1] == DEK
    assert keyring.is_confirmed(home.keys)
    start(home)


def test_recover_takes_an_export_or_named_folders(home: Home, tmp_path: Path) -> None:
    keys(home, "export", tmp_path / "stick")
    wanted = Keyring.open(home.keys).master
    for option in (("--file", tmp_path / "stick"), ("--nodes", home.path), ("--nodes", copies(home)[1].parent)):
        shutil.rmtree(home.keys)
        keys(home, "recover", *option, "--recovery-code", CODE.text())
        assert Keyring.open(home.keys).master == wanted


def test_recover_keeps_what_it_replaces(home: Home, tmp_path: Path) -> None:
    damage(home, tmp_path, "swapped")
    foreign = (home.keys / MASTER).read_bytes()
    keys(home, "recover", "--recovery-code", CODE.text())
    assert (home.keys / f"{MASTER}.set-aside-1").read_bytes() == foreign
    assert (home.keys / "root-credentials").exists()


def test_recover_refuses_a_whole_keyring_a_wrong_code_and_a_running_store(home: Home) -> None:
    assert "nothing to recover" in keys(home, "recover", "--recovery-code", CODE.text(), code=1)
    shutil.rmtree(home.keys)
    keys(home, "recover", "--recovery-code", RecoveryCode(bytes(16)).text(), code=1)
    assert not home.keys.exists()
    with stopped(home):
        keys(home, "recover", "--recovery-code", CODE.text(), code=3)
    assert not home.keys.exists()


def test_recover_refuses_copies_that_are_older_than_the_data(home: Home, tmp_path: Path) -> None:
    keys(home, "export", tmp_path / "old")
    keys(home, "rotate", "--wait")
    shutil.rmtree(home.keys)
    refused = keys(home, "recover", "--file", tmp_path / "old", "--recovery-code", CODE.text(), code=1)
    assert "older than the data" in refused
    assert not home.keys.exists()
    keys(home, "recover", "--recovery-code", CODE.text())
    assert Keyring.open(home.keys).wrapping.current == 2


def test_recover_never_makes_a_new_keyring(home: Home) -> None:
    shutil.rmtree(home.keys)
    for folder in copies(home):
        shutil.rmtree(folder)
    assert "no copy" in keys(home, "recover", "--recovery-code", CODE.text(), code=1)
    assert not home.keys.exists()
    with pytest.raises(CommandError, match="no keyring"):
        start(home)
