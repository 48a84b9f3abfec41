"""Named keys of SSE-KMS. Secrets are sealed by the keyring before they come here; a key is never removed, since what is
under it could not be read again."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import KmsKeyRow
from cyxcloud.meta.schema import kms_key
from cyxcloud.meta.statement import prepare

_K = kms_key.c
_insert = prepare(insert(kms_key).on_conflict_do_nothing())
_last = prepare(select(func.max(_K.number)))
_by_name = prepare(select(kms_key).where(_K.name == bindparam("named")))
_by_number = prepare(select(kms_key).where(_K.number == bindparam("numbered")))
_all = prepare(select(kms_key).order_by(_K.name))
_set_state = prepare(
    update(kms_key).where(_K.name == bindparam("named"), _K.state != bindparam("new")).values(state=bindparam("new"))
)


def next_number(conn: Connection) -> int:
    """Small numbers: every segment under a key names it."""
    row = conn.one(_last)
    return 1 if row is None or row[0] is None else row[0] + 1


def create(conn: Connection, row: KmsKeyRow) -> bool:
    """False when the name or the number is taken."""
    return conn.run(_insert, row._asdict()) == 1


def by_name(conn: Connection, name: str) -> KmsKeyRow | None:
    row = conn.one(_by_name, {"named": name})
    return None if row is None else KmsKeyRow(*row)


def read(conn: Connection, number: int) -> KmsKeyRow | None:
    row = conn.one(_by_number, {"numbered": number})
    return None if row is None else KmsKeyRow(*row)


def read_all(conn: Connection) -> list[KmsKeyRow]:
    return [KmsKeyRow(*row) for row in conn.rows(_all)]


def set_state(conn: Connection, name: str, state: str) -> bool:
    """False when it is so already, or there is no such key."""
    return conn.run(_set_state, {"named": name, "new": state}) == 1
