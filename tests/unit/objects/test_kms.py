"""Named keys: opened once, refused when disabled, the default one made on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyxcloud.core.ids import BlobId
from cyxcloud.core.keyring import Keyring, KeyringDamaged
from cyxcloud.core.keywrap import WrongKey
from cyxcloud.core.recovery_code import RecoveryCode
from cyxcloud.meta import cluster, kms_keys
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.writer import Writer
from cyxcloud.objects import kms
from cyxcloud.objects.errors import KmsKeyDisabled, KmsKeyNotFound
from cyxcloud.objects.kms import DEFAULT_KEY, DISABLED, ENABLED, LocalKms, NoKeys

BLOB, DEK = BlobId(9), b"k" * 32


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.create(tmp_path_factory.mktemp("home") / "keys", RecoveryCode.generate())


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    database = Database(tmp_path / "meta.db")
    database.upgrade()
    opened = database.writer()
    opened.start()
    yield opened
    opened.close()
    database.close()


@pytest.fixture
def reader(writer: Writer) -> Iterator[Connection]:
    database = Database(writer.path)
    yield database.reader()
    database.close()


@pytest.fixture
def keys(keyring: Keyring, writer: Writer, reader: Connection) -> LocalKms:
    writer.call(lambda conn: kms.ensure_key(conn, keyring, "payroll", 1000, "Salaries"))
    return LocalKms(reader, keyring, writer.submit, lambda: 2000)


async def test_unwrap_after_a_restart(keys: LocalKms, keyring: Keyring, writer: Writer, reader: Connection) -> None:
    key = await keys.find("payroll")
    wrapped = keys.wrap(key.number, BLOB, DEK)
    again = LocalKms(reader, keyring, writer.submit, lambda: 0)
    assert again.unwrap(key.number, BLOB, wrapped) == DEK
    with pytest.raises(WrongKey):
        again.unwrap(key.number, BlobId(10), wrapped)


async def test_find_of_a_key_that_is_not_there(keys: LocalKms) -> None:
    with pytest.raises(KmsKeyNotFound, match="travel"):
        await keys.find("travel")
    for lost in (keys.wrap, keys.unwrap):
        with pytest.raises(KmsKeyNotFound):
            lost(77, BLOB, DEK)


async def test_a_disabled_key_neither_wraps_nor_unwraps_once_it_is_forgotten(keys: LocalKms, writer: Writer) -> None:
    key = await keys.find("payroll")
    wrapped = keys.wrap(key.number, BLOB, DEK)
    assert writer.call(lambda conn: kms_keys.set_state(conn, "payroll", DISABLED))
    assert keys.unwrap(key.number, BLOB, wrapped) == DEK, "kept until the epoch moves"
    keys.forget()
    for refused in (lambda: keys.wrap(key.number, BLOB, DEK), lambda: keys.unwrap(key.number, BLOB, wrapped)):
        with pytest.raises(KmsKeyDisabled, match="payroll"):
            refused()
    with pytest.raises(KmsKeyDisabled, match="payroll"):
        await keys.find("payroll")
    assert writer.call(lambda conn: kms_keys.set_state(conn, "payroll", ENABLED))
    keys.forget()
    assert keys.unwrap(key.number, BLOB, wrapped) == DEK


async def test_the_default_key_is_made_when_it_is_first_asked_for(keys: LocalKms, reader: Connection) -> None:
    assert kms_keys.by_name(reader, DEFAULT_KEY) is None
    key = await keys.find(DEFAULT_KEY)
    assert (await keys.find(DEFAULT_KEY)) == key
    made = kms_keys.by_name(reader, DEFAULT_KEY)
    assert made is not None
    assert (made.number, made.created_at_ms) == (key.number, 2000)
    assert [row.name for row in kms_keys.read_all(reader)] == [DEFAULT_KEY, "payroll"]


def test_ensure_key_leaves_a_key_that_is_there(keys: LocalKms, keyring: Keyring, writer: Writer) -> None:
    before = writer.call(lambda conn: (kms_keys.by_name(conn, "payroll"), cluster.epochs(conn).access))
    writer.call(lambda conn: kms.ensure_key(conn, keyring, "payroll", 5000, "other"))
    assert writer.call(lambda conn: (kms_keys.by_name(conn, "payroll"), cluster.epochs(conn).access)) == before


def test_a_secret_does_not_open_in_another_keys_row(keys: LocalKms, keyring: Keyring, writer: Writer) -> None:
    row = writer.call(lambda conn: kms_keys.by_name(conn, "payroll"))
    assert row is not None
    assert len(kms.open_secret(keyring, row)) == 32
    for moved in (row._replace(name="travel"), row._replace(number=row.number + 1)):
        with pytest.raises(KeyringDamaged):
            kms.open_secret(keyring, moved)


def test_no_secret_is_in_any_text(keys: LocalKms, keyring: Keyring) -> None:
    keys.wrap(1, BLOB, DEK)
    opened = keys._by_number[1]
    assert opened.secret.hex() not in repr(opened)
    assert repr(opened.secret)[2:-1] not in repr(opened)


async def test_a_store_without_named_keys_finds_none() -> None:
    without = NoKeys()
    with pytest.raises(KmsKeyNotFound):
        await without.find("payroll")
    calls: list[Callable[[int, BlobId, bytes], bytes]] = [without.wrap, without.unwrap]
    for call in calls:
        with pytest.raises(KmsKeyNotFound):
            call(1, BLOB, DEK)
    without.forget()
