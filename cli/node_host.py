"""`cyxcloud node init` and `node run`: a node on this box for a fleet that runs elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from cli.options import CommandError, JsonOption, explained, show
from cli.sizes import parse_size
from cyxcloud.core import log
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.settings import check_address
from cyxcloud.wire.joining import BadToken, JoinToken

RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="DIR",
        help="The node's folder: made by init, served by run. [`root` in /etc/cyxcloud/node.toml, else /var/cyxcloud]",
    ),
]
DEFAULT_ROOT = Path("/var/cyxcloud")
NODE_CONFIG = Path("/etc/cyxcloud/node.toml")  # for who runs it as a service: root = "/srv/cyx"


def init(
    *,
    join: Annotated[str, typer.Option(metavar="TOKEN", help="From `cyxcloud node token` of the fleet's operator.")],
    fleet: Annotated[str, typer.Option(metavar="URL", help="https://HOST:PORT of the fleet's listener.")],
    root: RootOption = None,
    capacity: Annotated[str, typer.Option(help="How much it may hold: 500GB, 2TiB; 0 = the whole disk.")] = "0",
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where it serves shards, as the fleet reaches it.")
    ] = "",
    name: Annotated[str, typer.Option(help="What people call it. [this box's name]")] = "",
    zone: Annotated[str, typer.Option(help="What fails together: a room, a rack, a town.")] = "",
    operator: Annotated[str, typer.Option(help="Who runs it.")] = "",
    region: Annotated[str, typer.Option(help="Where it is, for who reads near it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a node on this box and have it join a fleet. Safe to repeat where it was cut short.

    Example:

      cyxcloud node init --root /srv/cyx --join cyxj_... --fleet https://store.example.org:9002 --capacity 2TB
      --listen 203.0.113.7:4001
    """
    from nodefs.filesystem import look
    from nodefs.joining import NotJoined, Wish
    from nodefs.joining import join as join_fleet

    with explained():
        try:
            token = JoinToken.parse(join)
        except BadToken as error:
            raise CommandError(str(error)) from None
        if not fleet.startswith("https://"):
            raise CommandError(f"--fleet {fleet}: give https://HOST:PORT as `cyxcloud node token` printed it")
        wish = Wish(
            root=root_of(root),
            token=token,
            url=fleet.rstrip("/"),
            listen=_address(listen) if listen else "",
            name=name or socket.gethostname(),
            capacity_bytes=parse_size(capacity),
            zone=zone,
            operator=operator,
            region=region,
        )
        try:
            found = look(wish.root.parent)
            answer = asyncio.run(join_fleet(wish, SystemClock()))
        except (NotJoined, OSError) as error:
            raise CommandError(str(error)) from None
    value = {"name": answer.name, "root": str(wish.root), "listen": wish.listen, "fallbacks": found.fallbacks}
    lines = [f"{answer.name} is a node of the fleet at {wish.url}; start it: cyxcloud node run --root {wish.root}"]
    lines += [f"note: {each}" for each in found.fallbacks]
    show(value, as_json=as_json, text=lambda console: console.print("\n".join(lines)))


def run(*, root: RootOption = None) -> None:
    """Serve the node in the foreground until Ctrl-C or SIGTERM, which it tells the fleet.

    Example: cyxcloud node run --root /srv/cyx
    """
    from nodefs.folder import FolderUnusable
    from nodefs.remote import RemoteNode

    with explained():
        folder = root_of(root)
        try:
            node = RemoteNode(folder)
            log.configure("node", level="info", json=False, file=folder / "logs" / "node.log")
            with contextlib.suppress(asyncio.CancelledError):
                uvloop.run(_until_told(node))
        except (FolderUnusable, OSError) as error:
            raise CommandError(str(error)) from None


def root_of(given: Path | None, config: Path = NODE_CONFIG) -> Path:
    """Where the node stands; CommandError where its configuration does not say so in a way that is understood."""
    if given is not None:
        return given.absolute()
    try:
        named = tomllib.loads(config.read_text("utf-8"))
    except FileNotFoundError:
        return DEFAULT_ROOT
    except (OSError, ValueError) as error:
        raise CommandError(f"{config}: {error}; mend it or give --root DIR") from None
    root = named.pop("root", str(DEFAULT_ROOT))
    if named or not isinstance(root, str) or not Path(root).is_absolute():
        raise CommandError(f'{config}: only `root = "/FOLDER"` stands there; limits are in config.toml of that folder')
    return Path(root)


def _address(text: str) -> str:
    try:
        return check_address(text)
    except ValueError as error:
        raise CommandError(f"--listen {text}: {error}") from None


async def _until_told(node: object) -> None:
    from nodefs.remote import RemoteNode

    assert isinstance(node, RemoteNode)
    task = asyncio.create_task(node.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    ready = asyncio.create_task(node.ready.wait())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if node.ready.is_set():
        typer.echo("Ready. Ctrl-C stops the node.")
        sys.stdout.flush()
    ready.cancel()
    await task
