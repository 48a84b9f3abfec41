"""`cyxcloud user`: who may have keys."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import access
from cli.access import AccessError, NewKey, NewUser
from cli.options import DataOption, JsonOption, explained, home_of, show, table
from cli.quotas import BytesOption, NoneOption, ObjectsOption, described, quota_text, wanted
from cli.store import Store, open_existing
from cyxcloud.core.clock import SystemClock
from cyxcloud.meta import accounts, quotas
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import AccountRow
from cyxcloud.objects import quota
from cyxcloud.objects.quota import Quota

app = typer.Typer(help="Users: add, list and limit them.", no_args_is_help=True, rich_markup_mode=None)


@app.command("add")
def add(
    *,
    user_id: Annotated[str | None, typer.Option("--id", help="Its canonical id. [made]")] = None,
    display_name: Annotated[str | None, typer.Option(help="The name that listings show. [the id]")] = None,
    email: Annotated[str, typer.Option(help="E-mail address.")] = "",
    access_key: Annotated[str | None, typer.Option(help="A given access key. [made]")] = None,
    secret_key: Annotated[str | None, typer.Option(help="The secret of that key.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a user with one access key; the secret is shown this once.

    Examples:

      cyxcloud user add --display-name "Ada Lovelace" --email ada@example.org

      cyxcloud user add --id testid --access-key KEY --secret-key SECRET --json
    """
    with explained(), open_existing(home_of(data)) as store:
        key = given_key(access_key, secret_key)
        name = user_id or NewUser.generated_id()
        made = _add(store, NewUser(name, display_name or name, email), key)
    show(
        made,
        as_json=as_json,
        text=lambda console: console.print(
            f"user {made['id']}\naccess key {made['access_key']}\nsecret key {made['secret_key']}  (shown this once)"
        ),
    )


@app.command("list")
def list_users(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """List the users.

    Example: cyxcloud user list --json
    """
    with explained(), open_existing(home_of(data)) as store:
        rows = [_described(store.reader, user) for user in accounts.read_all(store.reader)]
    columns = ("id", "display_name", "email", "is_root", "keys")
    show(rows, as_json=as_json, text=lambda console: table(console, columns, rows))


@app.command("quota")
def set_quota(
    user_id: Annotated[str, typer.Argument(metavar="USER")],
    *,
    to_bytes: BytesOption = None,
    to_objects: ObjectsOption = None,
    none: NoneOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or set how much all buckets of a user may hold together, whoever writes into them.

    Examples:

      cyxcloud user quota testid --bytes 1TB

      cyxcloud user quota testid --none
    """
    with explained(), open_existing(home_of(data)) as store:
        value = _quota(store, user_id, to_bytes, to_objects, none=none)
    show(value, as_json=as_json, text=lambda console: console.print(quota_text(f"user {user_id}", value)))


def _quota(store: Store, user_id: str, to_bytes: str | None, to_objects: int | None, *, none: bool) -> dict[str, Any]:
    user = accounts.by_canonical_id(store.reader, user_id)
    if user is None:
        raise AccessError(f"there is no user {user_id}; `cyxcloud user list` shows who there is")
    present = Quota(user.quota_bytes, user.quota_objects)
    changed = wanted(present, to_bytes, to_objects, none=none)
    if changed != present:
        store.change(lambda conn: quota.set_account(conn, user.id, changed))
    with store.reader.snapshot():
        return {"user": user_id} | described(changed, quotas.of_account(store.reader, user.id))


def given_key(access_key: str | None, secret_key: str | None, description: str = "") -> NewKey:
    """The key that the options name, or a made one."""
    if (access_key is None) != (secret_key is None):
        raise AccessError("--access-key and --secret-key go together; give both or neither")
    if access_key is None or secret_key is None:
        return NewKey.generate(description)
    return NewKey(access_key, secret_key, description)


def _add(store: Store, user: NewUser, key: NewKey) -> dict[str, Any]:
    now_ms = SystemClock().now_ms()

    def request(conn: Connection) -> AccountRow:
        row = access.add_user(conn, user, now_ms)
        access.add_key(conn, store.keyring, row, key, now_ms)
        return row

    row = store.change(request)
    return {
        "id": row.canonical_id,
        "display_name": row.display_name,
        "email": row.email,
        "access_key": key.access_key,
        "secret_key": key.secret_key,
    }


def _described(conn: Connection, user: AccountRow) -> dict[str, Any]:
    return {
        "id": user.canonical_id,
        "display_name": user.display_name,
        "email": user.email,
        "is_root": user.is_root,
        "created_at_ms": user.created_at_ms,
        "keys": len(accounts.keys(conn, user.id)),
    }
