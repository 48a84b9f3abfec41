"""`cyxcloud node token`: lets one node of another box join."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from cli.home import Home, is_running
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show
from cli.store import Store, open_existing
from cyxcloud.core.certificates import Authority
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.config import load
from cyxcloud.core.settings import Duration
from cyxcloud.meta import join_tokens
from cyxcloud.meta.join_tokens import JoinTokenRow
from cyxcloud.wire.joining import JoinToken

_SECONDS: TypeAdapter[float] = TypeAdapter(Duration)


def token(
    *,
    data: DataOption = None,
    zone: Annotated[str, typer.Option(help="The node's zone, whatever it says itself.")] = "",
    operator: Annotated[str, typer.Option(help="The node's operator, whatever it says itself.")] = "",
    region: Annotated[str, typer.Option(help="The node's region, whatever it says itself.")] = "",
    expires: Annotated[str, typer.Option(metavar="TIME", help="For how long it can be used: 90, 10m, 24h. [24h]")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a token by which one node joins, once, within `fleet.token_lifetime` (24 h). It is shown only now.

    Example: cyxcloud node token --zone cellar --expires 1h --json
    """
    home = home_of(data)
    with explained(), open_existing(home) as store:
        fleet = fleet_url(home)
        lifetime = _seconds(expires) if expires else load(home.path).fleet.token_lifetime
        made = make_token(store, SystemClock().now_ms(), lifetime, zone=zone, operator=operator, region=region)
    value = {"token": made, "fleet": fleet}
    lines = [
        f"token  {made}",
        f"fleet  {fleet}",
        "On the node's box:",
        f"  cyxcloud node init --root DIR --join {made} --fleet {fleet} --capacity 1TB --listen HOST:PORT",
    ]
    show(value, as_json=as_json, text=lambda console: console.print("\n".join(lines)))


def make_token(
    store: Store, now_ms: int, lifetime_seconds: float, *, zone: str = "", operator: str = "", region: str = ""
) -> str:
    """The token's text, which is kept nowhere."""
    pin = Authority(store.keyring.signing().authority, store.keyring.cluster_id).fingerprint
    made = JoinToken.generate(pin)
    row = JoinTokenRow(made.hash, zone, operator, region, now_ms, now_ms + int(lifetime_seconds * 1000))
    store.change(lambda conn: join_tokens.add(conn, row))
    return made.text()


def fleet_url(home: Home) -> str:
    """Where the running store takes nodes."""
    roles = json.loads(home.roles.read_text()) if is_running(home) and home.roles.exists() else []
    url = next((str(each["fleet"]) for each in roles if each["role"] == "supervisor"), "")
    if not url:
        raise CommandError("this store takes no nodes of other boxes now; start it with --fleet-listen HOST:PORT")
    return url


def _seconds(text: str) -> float:
    try:
        return _SECONDS.validate_python(text)
    except ValidationError as error:
        raise CommandError(f"--expires: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
