"""`cyxcloud kms`: named keys, for objects under SSE-KMS."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.access import MAX_TEXT, AccessError
from cli.options import DataOption, JsonOption, explained, home_of, show, table
from cli.store import open_existing
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import cluster, kms_keys
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import KmsKeyRow
from cyxcloud.objects.kms import DISABLED, ENABLED, KEY_NAME, ensure_key

app = typer.Typer(
    help="Named keys of SSE-KMS: create, list, disable and enable them.", no_args_is_help=True, rich_markup_mode=None
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")]


@app.command("create")
def create(
    name: NameArgument,
    *,
    description: Annotated[str, typer.Option(help="What the key is for.")] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a named key. Clients name it in x-amz-server-side-encryption-aws-kms-key-id.

    Example: cyxcloud kms create payroll --description "Salaries"
    """
    with explained(), open_existing(home_of(data)) as store:
        now_ms = SystemClock().now_ms()
        store.change(lambda conn: _create(conn, store.keyring, name, description, now_ms))
        made = kms_keys.by_name(store.reader, name)
        assert made is not None
    show(_described(made), as_json=as_json, text=lambda console: console.print(f"key {name} created"))


@app.command("list")
def list_keys(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """List the named keys.

    Example: cyxcloud kms list --json
    """
    with explained(), open_existing(home_of(data)) as store:
        rows = [_described(row) for row in kms_keys.read_all(store.reader)]
    show(rows, as_json=as_json, text=lambda console: table(console, ("name", "state", "description"), rows))


@app.command("disable")
def disable(name: NameArgument, data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Refuse to encrypt or read objects under a key, until it is enabled again.

    Example: cyxcloud kms disable payroll
    """
    _switch(name, data, DISABLED, as_json=as_json)


@app.command("enable")
def enable(name: NameArgument, data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Use a key again.

    Example: cyxcloud kms enable payroll
    """
    _switch(name, data, ENABLED, as_json=as_json)


def _create(conn: Connection, keyring: Keyring, name: str, description: str, now_ms: int) -> None:
    if not KEY_NAME.fullmatch(name) or name.startswith(("aws/", "alias/")):
        raise AccessError("name: 1 to 255 letters, digits and / _ . -, and not beginning with aws/ or alias/")
    if len(description) > MAX_TEXT or not description.isprintable():
        raise AccessError(f"description: at most {MAX_TEXT} printable characters")
    if kms_keys.by_name(conn, name) is not None:
        raise AccessError(f"there is a key {name} already")
    ensure_key(conn, keyring, name, now_ms, description)


def _switch(name: str, data: DataOption, state: str, *, as_json: bool) -> None:
    with explained(), open_existing(home_of(data)) as store:
        store.change(lambda conn: _set_state(conn, name, state))
    show({"name": name, "state": state}, as_json=as_json, text=lambda console: console.print(f"key {name} is {state}"))


def _set_state(conn: Connection, name: str, state: str) -> None:
    if kms_keys.by_name(conn, name) is None:
        raise AccessError(f"there is no key {name}; `cyxcloud kms list` shows all")
    if kms_keys.set_state(conn, name, state):
        cluster.bump(conn, Epoch.ACCESS)


def _described(row: KmsKeyRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "state": row.state,
        "description": row.description,
        "created_at_ms": row.created_at_ms,
    }
