"""`cyxcloud key`: access keys. A secret is shown when it is made and never again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli import access
from cli.options import DataOption, JsonOption, explained, home_of, show, table
from cli.store import open_existing
from cli.users import given_key
from cyxcloud.core.clock import SystemClock
from cyxcloud.meta import accounts

app = typer.Typer(
    help="Access keys: create, list, disable, enable, delete.", no_args_is_help=True, rich_markup_mode=None
)

UserOption = Annotated[str | None, typer.Option("--user", metavar="ID", help="The user's id. [the root user]")]
KeyArgument = Annotated[str, typer.Argument(metavar="ACCESS_KEY")]


@app.command("create")
def create(
    *,
    user: UserOption = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    access_key: Annotated[str | None, typer.Option(help="A given access key. [made]")] = None,
    secret_key: Annotated[str | None, typer.Option(help="The secret of that key.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a user another access key; the secret is shown this once.

    Examples:

      cyxcloud key create --description "backup of laptop"

      cyxcloud key create --user testid --json
    """
    now_ms = SystemClock().now_ms()
    with explained(), open_existing(home_of(data)) as store:
        key = given_key(access_key, secret_key, description)
        owner = access.find_user(store.reader, user)
        store.change(lambda conn: access.add_key(conn, store.keyring, owner, key, now_ms))
    made = {"access_key": key.access_key, "secret_key": key.secret_key, "user": owner.canonical_id}
    show(
        made,
        as_json=as_json,
        text=lambda console: console.print(
            f"access key {key.access_key}\nsecret key {key.secret_key}  (shown this once)"
        ),
    )


@app.command("list")
def list_keys(user: UserOption = None, data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """List access keys, of all users or of one.

    Example: cyxcloud key list --user testid --json
    """
    with explained(), open_existing(home_of(data)) as store:
        owners = accounts.read_all(store.reader) if user is None else [access.find_user(store.reader, user)]
        rows: list[dict[str, Any]] = [
            {
                "access_key": key.access_key,
                "user": owner.canonical_id,
                "enabled": key.enabled,
                "created_at_ms": key.created_at_ms,
                "description": key.description,
            }
            for owner in owners
            for key in accounts.keys(store.reader, owner.id)
        ]
    columns = ("access_key", "user", "enabled", "description")
    show(rows, as_json=as_json, text=lambda console: table(console, columns, rows))


@app.command("disable")
def disable(access_key: KeyArgument, data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Refuse requests signed with a key, until it is enabled again.

    Example: cyxcloud key disable CYXAAAAAAAAAAAAAAAAA
    """
    _switch(access_key, data, enabled=False, as_json=as_json)


@app.command("enable")
def enable(access_key: KeyArgument, data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Take requests signed with a key again.

    Example: cyxcloud key enable CYXAAAAAAAAAAAAAAAAA
    """
    _switch(access_key, data, enabled=True, as_json=as_json)


@app.command("delete")
def delete(access_key: KeyArgument, data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Delete a key for good. What its user stored stays.

    Example: cyxcloud key delete CYXAAAAAAAAAAAAAAAAA
    """
    with explained(), open_existing(home_of(data)) as store:
        store.change(lambda conn: access.delete_key(conn, access_key))
    show(
        {"access_key": access_key, "deleted": True},
        as_json=as_json,
        text=lambda console: console.print(f"{access_key} deleted"),
    )


def _switch(access_key: str, data: DataOption, *, enabled: bool, as_json: bool) -> None:
    with explained(), open_existing(home_of(data)) as store:
        store.change(lambda conn: access.enable_key(conn, access_key, enabled=enabled))
    show(
        {"access_key": access_key, "enabled": enabled},
        as_json=as_json,
        text=lambda console: console.print(f"{access_key} {'enabled' if enabled else 'disabled'}"),
    )
