"""`cyxcloud up`: the whole store in the foreground."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli import banner, bootstrap, cleanstop
from cli.bootstrap import Opened
from cli.home import AlreadyRunning, Home, take_locks
from cli.options import CommandError, DataOption, explained, home_of
from cli.supervisor import NotReady, Supervisor
from cyxcloud.core import config, log
from cyxcloud.core.config import Settings

LOCK_SECONDS = 10.0  # processes of an instance that was killed a moment ago may still be ending


def up(
    *,
    data: DataOption = None,
    listen: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="The S3 port. [127.0.0.1:9000]")] = None,
    control: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Operators' port. [127.0.0.1:9001]")] = None,
    nodes: Annotated[int | None, typer.Option(help="Local nodes, at the first start. [by the profile: 16]")] = None,
    profile: Annotated[str | None, typer.Option(metavar="K+M", help="Shards, at the first start. [10+4]")] = None,
    workers: Annotated[int | None, typer.Option(help="Gateway processes. [one a core]")] = None,
    node_processes: Annotated[int | None, typer.Option(help="Processes that share the nodes. [1]")] = None,
    meta_mirror: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Metadata's mirror, 'none' for none. [on the second --data]")
    ] = None,
    fleet_listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where nodes of other boxes join. [they do not]")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Region that requests are signed for. [us-east-1]")] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Host name for BUCKET.NAME addressing; repeatable.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate chain (PEM): HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key (PEM).")] = None,
) -> None:
    """Start the store and serve until Ctrl-C.

    The first start makes the nodes, the keyring and a root key, and shows the secrets once; every later start finds
    them again. Settings also stand in DIR/config.toml and in CYXCLOUD_... variables; an option wins over both.

    Examples:

      cyxcloud up --data ./data

      cyxcloud up --data /disk1/cyx --data /disk2/cyx --listen 0.0.0.0:9000

      cyxcloud up --listen 0.0.0.0:9443 --tls-cert cert.pem --tls-key key.pem

      cyxcloud up --nodes 0 --fleet-listen 0.0.0.0:9443
    """
    with explained():
        home = home_of(data)
        options = {
            "listen": listen,
            "control": control,
            "nodes": nodes,
            "profile": profile,
            "workers": workers,
            "node_processes": node_processes,
            "meta_mirror": meta_mirror,
            "fleet": {"listen": fleet_listen},
            "region": region,
            "domains": tuple(domain or ()),
            "tls": {"cert": tls_cert and tls_cert.resolve(), "key": tls_key and tls_key.resolve()},
        }
        settings = config.load(home.path, options)
        _check_tls(settings)
        locks = _locks(home)
        log.configure(
            "supervisor", level=settings.log.level, json=settings.log.json_lines, file=home.logs / "supervisor.log"
        )
        opened = bootstrap.open_store(home, settings, config.load_first_start())
        _serve(home, settings, opened, locks)


def _serve(home: Home, settings: Settings, opened: Opened, locks: Sequence[int]) -> None:
    groups = [opened.node_folders[first :: settings.node_processes] for first in range(settings.node_processes)]
    supervisor = Supervisor(home, settings, [group for group in groups if group], tuple(locks))

    def on_ready() -> None:
        typer.echo(banner.text(home, settings, opened, supervisor.endpoint, supervisor.fleet_url))
        bootstrap.forget_secrets(home)

    cleanstop.mark(home)
    try:
        asyncio.run(supervisor.run(on_ready))
    except NotReady as error:
        raise CommandError(str(error)) from None
    cleanstop.unmark(home)


def _locks(home: Home) -> list[int]:
    """The store's locks; waits a little for the last processes of an instance that was killed."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return take_locks(home)
        except AlreadyRunning as error:
            if time.monotonic() > deadline or error.holder_lives:
                raise
            time.sleep(0.05)


def _check_tls(settings: Settings) -> None:
    for name, path in (("tls.cert", settings.tls.cert), ("tls.key", settings.tls.key)):
        try:
            if path is not None:
                path.open("rb").close()
        except OSError as error:
            raise config.ConfigError(f"{name}: {path}: {error.strerror}; give a readable PEM file") from None
    if settings.tls.cert is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls.cert, settings.tls.key)
        except ssl.SSLError as error:
            reason = error.reason or "not a certificate and its key in PEM"
            raise config.ConfigError(f"tls: {settings.tls.cert}, {settings.tls.key}: {reason}; give a pair") from None
