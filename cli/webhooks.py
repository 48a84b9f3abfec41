"""`cyxcloud webhook`: URLs that buckets' notifications may go to."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from cli import control
from cli.control import NoAnswer
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show, table
from cli.store import open_existing
from cyxcloud.core.clock import SystemClock
from cyxcloud.meta import deliveries, webhooks
from cyxcloud.meta.deliveries import Waiting
from cyxcloud.meta.webhooks import WebhookRow
from cyxcloud.objects.notification import WEBHOOK_NAME, sealed_as
from fleet.outgoing import Refused, parse_url

app = typer.Typer(help="Webhooks: where buckets' events go.", no_args_is_help=True, rich_markup_mode=None)

SECRET = re.compile(r"[\x21-\x7e]{8,128}").fullmatch
NameArgument = Annotated[str, typer.Argument(help="Its name, as configurations of buckets use it.")]


@app.command("add")
def add(
    name: NameArgument,
    url: Annotated[str, typer.Argument(help="http:// or https:// address that takes a POST.")],
    *,
    secret: Annotated[str, typer.Option(help="Signs every message (HMAC-SHA256 in X-Cyx-Signature).")] = "",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a URL under a name. Every user's buckets may name it.

    Examples:

      cyxcloud webhook add thumbnails https://hooks.example.org/s3

      cyxcloud webhook add audit https://audit.example.org/in --secret LONG-RANDOM-TEXT --json
    """
    with explained(), open_existing(home_of(data)) as store:
        _check(name, url, secret)
        sealed = store.keyring.seal_secret(sealed_as(name), secret) if secret else b""
        row = WebhookRow(name, url, sealed, SystemClock().now_ms())
        if not store.change(lambda conn: webhooks.add(conn, row)):
            raise CommandError(f"there is a webhook {name} already; `cyxcloud webhook remove {name}` makes room")
    made = {"name": name, "arn": arn(name), "url": url, "signed": bool(secret)}
    show(made, as_json=as_json, text=lambda console: console.print(f"webhook {name}\narn {made['arn']}"))


@app.command("list")
def list_webhooks(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """List the webhooks, what waits for each and what it never took.

    Example: cyxcloud webhook list --json
    """
    with explained(), open_existing(home_of(data)) as store:
        waiting = deliveries.waiting(store.reader)
        rows = [_described(row, waiting.get(row.name)) for row in webhooks.read_all(store.reader)]
    columns = ("name", "arn", "url", "signed", "waiting", "delivered", "given_up", "error")
    show(rows, as_json=as_json, text=lambda console: table(console, columns, rows))


@app.command("remove")
def remove(name: NameArgument, data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Forget a webhook and all that waits for it; configurations that name it stay, and lead nowhere.

    Example: cyxcloud webhook remove thumbnails
    """
    with explained(), open_existing(home_of(data)) as store:
        if not store.change(lambda conn: webhooks.remove(conn, name)):
            raise CommandError(f"there is no webhook {name}; `cyxcloud webhook list` shows all")
    show({"removed": name}, as_json=as_json, text=lambda console: console.print(f"removed {name}"))


@app.command("test")
def send_test(name: NameArgument, data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Send a test event now, from the running store; fails where it is not taken.

    Example: cyxcloud webhook test thumbnails
    """
    with explained():
        home = home_of(data)
        with open_existing(home) as store:
            if webhooks.read(store.reader, name) is None:
                raise CommandError(f"there is no webhook {name}; `cyxcloud webhook list` shows all")
        try:
            answer = control.ask(home.control_socket, "POST", "/webhook/test", {"name": name})
        except NoAnswer as error:
            raise CommandError(f"the store does not answer ({error}); start it with `cyxcloud up`") from error
        if answer["error"]:
            raise CommandError(f"webhook {name} did not take the test event: {answer['error']}")
    show({"taken": name}, as_json=as_json, text=lambda console: console.print(f"{name} took the test event"))


def arn(name: str) -> str:
    return f"arn:cyxcloud:s3:::webhook:{name}"


def _check(name: str, url: str, secret: str) -> None:
    if not WEBHOOK_NAME(name):
        raise CommandError("name: 1 to 128 letters, digits and . _ -, the first a letter or digit")
    try:
        parse_url(url)
    except Refused as error:
        raise CommandError(f"url: {error}") from None
    if secret and not SECRET(secret):
        raise CommandError("secret: 8 to 128 printable characters without spaces")


def _described(row: WebhookRow, waiting: Waiting | None) -> dict[str, Any]:
    return {
        "name": row.name,
        "arn": arn(row.name),
        "url": row.url,
        "signed": bool(row.secret),
        "waiting": 0 if waiting is None else waiting.messages,
        "waiting_since_ms": None if waiting is None else waiting.oldest_at_ms,
        "delivered": row.delivered,
        "delivered_at_ms": row.delivered_at_ms or None,
        "given_up": row.given_up,
        "given_up_at_ms": row.given_up_at_ms or None,
        "error": row.error,
    }
