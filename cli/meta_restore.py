"""`cyxcloud meta restore`: a lost or damaged home comes back from the nodes, a backup or a mirror."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

from cli.backup_file import BackupDamaged, read_backup, read_head
from cli.home import Home, stopped
from cli.node_folders import FoundNode, find_nodes, keyring_copies, opened
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show
from cli.recovery import CodeOption, recovery_code
from cli.restore import Copied, Remains, Source, bring, from_nodes, newest_sequence, put_in_place
from cyxcloud.core import keycopies, log
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.keycopies import Copy
from cyxcloud.core.keyring import NODE_FOLDER, Keyring, KeyringDamaged, KeyringMissing
from cyxcloud.core.recovery_code import BadRecoveryCode, RecoveryCode
from cyxcloud.meta.mirror_copies import MirrorUnusable, restore_from_mirror
from cyxcloud.objects.snapshot_restore import Progress


def restore(
    *,
    data: DataOption = None,
    nodes: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH", help="A node's folder, or a folder that holds some; repeatable. [those of --data]"
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="From a backup file instead of the nodes.")] = None,
    from_mirror: Annotated[Path | None, typer.Option(metavar="DIR", help="From the metadata's mirror.")] = None,
    code: CodeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make DIR/meta and DIR/keys again, on a stopped store.

    Without --file or --from-mirror they come from the newest snapshot on the nodes: what was stored after it is not
    listed again. A mirror lacks nothing that was acknowledged.
    Folders that are there are renamed to *.before-restore-N, never deleted. Afterwards the store reads and writes at
    once; nothing is cleared away on its nodes until `cyxcloud meta adopt --confirm`.

    Examples:

      cyxcloud meta restore --data ./data --recovery-code CODE

      cyxcloud meta restore --data /new --nodes /disk1/nodes --nodes /disk2/nodes --recovery-code CODE

      cyxcloud meta restore --data ./data --file /mnt/usb/cyxcloud.backup
    """
    with explained():
        if file is not None and from_mirror is not None:
            raise CommandError("give one of --file and --from-mirror")
        home, given = home_of(data), recovery_code(code)
        where = Where(tuple(nodes or ()), file, None if from_mirror is None else from_mirror.expanduser().absolute())
        started = time.monotonic()
        with stopped(home):
            log.configure("restore", level="info", json=False, file=home.logs / "restore.log")
            told = _restore(home, given, where, quiet=as_json)
        told["seconds"] = round(time.monotonic() - started, 3)
    show(told, as_json=as_json, text=lambda console: _print(console, home, told))


@dataclass(frozen=True, slots=True)
class Where:
    """What to restore from: nodes that stand elsewhere, and a backup or a mirror instead of their snapshot."""

    nodes: tuple[Path, ...]
    file: Path | None
    mirror: Path | None


def _restore(home: Home, code: RecoveryCode, where: Where, *, quiet: bool) -> dict[str, Any]:
    found = find_nodes(home, where.nodes)
    keyring = _keyring(code, found, where)
    foreign = [each.path for each in found if each.marker.cluster_id != keyring.cluster_id]
    if foreign:
        raise CommandError(f"{foreign[0]} is a node of another store than the one that this code opens")
    now_ms = SystemClock().now_ms()
    with opened(found) as resting, _progress(quiet=quiet) as progress:
        copied = bring(home, _source(where) or from_nodes(resting, keyring, progress))
        remains = Remains(keyring, found, newest_sequence(resting.pointers(), keyring))
    made = put_in_place(home, copied, remains, now_ms)
    return {
        "source": copied.source,
        "sequence": copied.sequence,
        "age_seconds": max(0, now_ms - copied.taken_at_ms) // 1000,
        "objects": made.objects,
        "database_bytes": made.database_bytes,
        "bytes_read": resting.bytes_read,
        "nodes": len(resting.stores),
        "passed_over": resting.passed_over | made.not_adopted,
        "set_aside": [str(each) for each in made.set_aside],
    }


def _keyring(code: RecoveryCode, found: Sequence[FoundNode], where: Where) -> Keyring:
    copies: list[Copy] = list(keyring_copies(found))
    if where.mirror is not None and (copy := keycopies.read_copy(where.mirror / NODE_FOLDER)) is not None:
        copies.append(copy)
    try:
        if where.file is not None:
            head = read_head(where.file)
            copies.append(Copy(str(where.file), head.wrapped, head.bundle))
        keyring, _ = keycopies.newest(code, copies)
    except (BackupDamaged, OSError) as error:
        raise CommandError(f"{where.file}: {error}") from None
    except (KeyringMissing, KeyringDamaged, BadRecoveryCode) as error:
        raise CommandError(f"nothing was changed: {error}") from None
    return keyring


def _source(where: Where) -> Source | None:
    if where.file is not None:
        return _from_file(where.file)
    return None if where.mirror is None else _from_mirror(where.mirror)


def _from_mirror(mirror: Path) -> Source:
    def bring_mirror(path: Path) -> Copied:
        try:
            standing = restore_from_mirror(mirror, path)
        except MirrorUnusable as error:
            raise CommandError(f"{error}; nothing was changed") from None
        return Copied(str(mirror), 0, standing.clock_ms, lacks_nothing=True)

    return bring_mirror


def _from_file(file: Path) -> Source:
    def bring_file(path: Path) -> Copied:
        try:
            read = read_backup(file, path)
        except BackupDamaged as error:
            raise CommandError(f"{file}: {error}; nothing was changed") from None
        return Copied(str(file), 0, read.made_at_ms)

    return bring_file


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """A bar on a terminal."""
    columns = TextColumn("reading the snapshot"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), disable=quiet, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, size: bar.update(task, completed=done, total=size)


def _print(console: Console, home: Home, told: dict[str, Any]) -> None:
    of = f"snapshot {told['sequence']}" if told["source"] == "nodes" else told["source"]
    console.print(
        f"restored from {of}, {told['age_seconds']:,} s old: {told['objects']:,} objects, a database of "
        f"{told['database_bytes']:,} bytes; {told['bytes_read']:,} bytes read from {told['nodes']} nodes "
        f"in {told['seconds']} s"
    )
    for name, reason in told["passed_over"].items():
        console.print(f"passed over: {name}: {reason}")
    for folder in told["set_aside"]:
        console.print(f"what was there is now {folder}")
    console.print(
        f"\nNext: `cyxcloud up --data {home.path}`; see that what you need is there; then "
        "`cyxcloud meta adopt --confirm`,\nuntil which nothing is cleared away on the nodes."
    )
