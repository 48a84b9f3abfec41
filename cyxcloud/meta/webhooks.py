"""URLs that messages may go to, by the names that buckets' configurations use; and what became of the messages.

Secrets are sealed by the keyring before they come here. Removing one takes what waits for it along.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.meta import deliveries
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema import webhook
from cyxcloud.meta.statement import prepare

_W = webhook.c
_insert = prepare(insert(webhook).on_conflict_do_nothing())
_one = prepare(select(webhook).where(_W.name == bindparam("named")))
_all = prepare(select(webhook).order_by(_W.name))
_remove = prepare(delete(webhook).where(_W.name == bindparam("named")))
_delivered = prepare(
    update(webhook)
    .where(_W.name == bindparam("named"))
    .values(delivered=_W.delivered + bindparam("count"), delivered_at_ms=bindparam("now_ms"))
)
_given_up = prepare(
    update(webhook)
    .where(_W.name == bindparam("named"))
    .values(given_up=_W.given_up + bindparam("count"), given_up_at_ms=bindparam("now_ms"))
)
_set_error = prepare(update(webhook).where(_W.name == bindparam("named")).values(error=bindparam("text")))


class WebhookRow(NamedTuple):
    """`secret` is empty where messages are not signed. `error` is the last failure, "" when no message waits that
    failed."""

    name: str
    url: str
    secret: bytes
    created_at_ms: int
    delivered: int = 0
    delivered_at_ms: int = 0
    given_up: int = 0
    given_up_at_ms: int = 0
    error: str = ""


def add(conn: Connection, row: WebhookRow) -> bool:
    """False when the name is taken."""
    return conn.run(_insert, row._asdict()) == 1


def remove(conn: Connection, name: str) -> bool:
    deliveries.remove_all(conn, name)
    return conn.run(_remove, {"named": name}) == 1


def read(conn: Connection, name: str) -> WebhookRow | None:
    row = conn.one(_one, {"named": name})
    return None if row is None else WebhookRow(*row)


def read_all(conn: Connection) -> list[WebhookRow]:
    return [WebhookRow(*row) for row in conn.rows(_all)]


def count(conn: Connection, name: str, now_ms: int, *, delivered: int, given_up: int, error: str) -> None:
    """What a round of tries came to; `error` of the last that failed."""
    if delivered:
        conn.run(_delivered, {"named": name, "count": delivered, "now_ms": now_ms})
    if given_up:
        conn.run(_given_up, {"named": name, "count": given_up, "now_ms": now_ms})
    conn.run(_set_error, {"named": name, "text": error})
