"""Accounts and their access keys. Secrets are sealed by the keyring before they come here."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.ids import AccountId
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import AccountRow, KeyRow
from cyxcloud.meta.schema import access_key, account
from cyxcloud.meta.statement import prepare

_A = account.c
_K = access_key.c
_insert = prepare(insert(account).on_conflict_do_nothing())
_by_id = prepare(select(account).where(_A.id == bindparam("account")))
_by_canonical = prepare(select(account).where(_A.canonical_id == bindparam("canonical")))
_by_email = prepare(select(account).where(_A.email == bindparam("at_email")).order_by(_A.canonical_id))
_all = prepare(select(account).order_by(_A.canonical_id))
_insert_key = prepare(insert(access_key).on_conflict_do_nothing())
_credentials = prepare(
    select(*_K, *_A).join_from(access_key, account, _A.id == _K.account).where(_K.access_key == bindparam("named"))
)
_keys = prepare(select(access_key).where(_K.account == bindparam("of_account")).order_by(_K.access_key))
_enable = prepare(update(access_key).where(_K.access_key == bindparam("named")).values(enabled=bindparam("enabled")))
_remove_key = prepare(delete(access_key).where(_K.access_key == bindparam("named")))


def create(conn: Connection, row: AccountRow) -> bool:
    """False when the id or canonical id is taken."""
    params = {
        "id": row.id,
        "canonical_id": row.canonical_id,
        "display_name": row.display_name,
        "email": row.email,
        "is_root": int(row.is_root),
        "created_at_ms": row.created_at_ms,
        "quota_bytes": row.quota_bytes,
        "quota_objects": row.quota_objects,
    }
    return conn.run(_insert, params) == 1


def read(conn: Connection, account_id: AccountId) -> AccountRow | None:
    row = conn.one(_by_id, {"account": account_id})
    return None if row is None else _account(row)


def by_canonical_id(conn: Connection, canonical_id: str) -> AccountRow | None:
    row = conn.one(_by_canonical, {"canonical": canonical_id})
    return None if row is None else _account(row)


def by_email(conn: Connection, email: str) -> list[AccountRow]:
    """An address names nobody for certain: none, one or several accounts (S3 refuses several)."""
    return [_account(row) for row in conn.rows(_by_email, {"at_email": email})]


def read_all(conn: Connection) -> list[AccountRow]:
    return [_account(row) for row in conn.rows(_all)]


def create_key(conn: Connection, row: KeyRow) -> bool:
    """False when the access key is taken."""
    params = {
        "access_key": row.access_key,
        "account": row.account,
        "secret": row.secret,
        "enabled": int(row.enabled),
        "created_at_ms": row.created_at_ms,
        "description": row.description,
    }
    return conn.run(_insert_key, params) == 1


def credentials(conn: Connection, named: str) -> tuple[KeyRow, AccountRow] | None:
    """An access key, enabled or not, with its account."""
    row = conn.one(_credentials, {"named": named})
    return None if row is None else (_key(row[:6]), _account(row[6:]))


def keys(conn: Connection, account_id: AccountId) -> list[KeyRow]:
    return [_key(row) for row in conn.rows(_keys, {"of_account": account_id})]


def enable_key(conn: Connection, named: str, *, enabled: bool) -> bool:
    """False when there is no such key."""
    return conn.run(_enable, {"named": named, "enabled": int(enabled)}) == 1


def remove_key(conn: Connection, named: str) -> bool:
    return conn.run(_remove_key, {"named": named}) == 1


def _account(row: Row) -> AccountRow:
    return AccountRow(row[0], row[1], row[2], row[3], bool(row[4]), *row[5:8])


def _key(row: Row) -> KeyRow:
    return KeyRow(row[0], row[1], row[2], bool(row[3]), row[4], row[5])
