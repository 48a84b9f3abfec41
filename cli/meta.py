"""`cyxcloud meta`: the metadata's copies, and the way back from them."""

from __future__ import annotations

import typer

from cli import meta_adopt, meta_backup, meta_check, meta_restore, meta_snapshot

app = typer.Typer(
    help="Metadata: snapshot it onto the nodes, back it up, restore it, confirm it, check it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("adopt")(meta_adopt.adopt)
app.command("backup")(meta_backup.backup)
app.command("check")(meta_check.meta_check)
app.command("restore")(meta_restore.restore)
app.command("snapshot")(meta_snapshot.snapshot)
