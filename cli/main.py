"""The `cyxcloud` command."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from cli import (
    buckets,
    cid,
    disks,
    doctor,
    keyring_commands,
    keys,
    kms,
    meta,
    nodes,
    object_health,
    placement,
    policy,
    scrub,
    status,
    up,
    users,
    webhooks,
)

app = typer.Typer(
    name="cyxcloud",
    help="S3-compatible object store: one command on one box, a fleet of storage nodes with the same data.",
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong option or setting, 3 another instance serves the folder.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)
app.command()(up.up)
app.command()(status.status)
app.command("cid")(cid.cid)
app.command()(doctor.doctor)
app.add_typer(meta.app, name="meta")
app.add_typer(users.app, name="user")
app.add_typer(keys.app, name="key")
app.add_typer(buckets.app, name="bucket")
app.add_typer(kms.app, name="kms")
app.add_typer(keyring_commands.app, name="keys")
app.add_typer(nodes.app, name="node")
app.add_typer(disks.app, name="disk")
app.add_typer(object_health.app, name="object")
app.add_typer(placement.app, name="placement")
app.add_typer(policy.app, name="policy")
app.add_typer(scrub.app, name="scrub")
app.add_typer(webhooks.app, name="webhook")


@app.command()
def version(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False) -> None:
    """Print the version.

    Example: cyxcloud version --json
    """
    number = installed_version("cyxcloud")
    typer.echo(f'{{"version": "{number}"}}' if as_json else number)


def main() -> None:
    app()
