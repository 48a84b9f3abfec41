"""The metadata's mirror around a start: where it stands, which copy is the newer, and both made equal.

From the beginning of a start until both are equal nobody copies. A mirror whose disk does not work holds up no start:
it is stale, `status` says so, and the coordinator tries again.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import structlog

from cli.home import Home, is_running
from cli.options import CommandError
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.config import Settings
from cyxcloud.core.keyring import NODE_FOLDER, Keyring
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.mirror import DATABASE, FAULTS, OutOfStep
from cyxcloud.meta.mirror_catchup import MirrorRefused, catch_up, fold, prepare, rest, settle
from cyxcloud.meta.mirror_copies import Verdict, judge, standing, standing_of
from cyxcloud.meta.mirror_state import NAME, StateFile, Step, mark_stale, read_state

log = structlog.get_logger(__name__)

FOLDER = "meta-mirror"
OFF = "none"


def folder_of(home: Home, settings: Settings) -> Path | None:
    """What the setting says, else where it was before, else on the second --data."""
    if settings.meta_mirror is not None:
        return None if str(settings.meta_mirror) == OFF else settings.meta_mirror.expanduser().resolve()
    if (known := read_state(home.meta)) is not None:
        return known.folder
    return home.more[0] / FOLDER if home.more else None


def refuse_older_home(home: Home, settings: Settings, reader: Connection) -> None:
    """Before a start changes anything: a mirror that is ahead of the home, or another store's, is not written over."""
    rest(home.meta)
    folder = folder_of(home, settings)
    ours = standing(reader)
    if folder is None or ours is None:
        return
    match judge(ours, standing_of(folder / DATABASE)):
        case Verdict.AHEAD:
            raise CommandError(
                f"the metadata in {home.meta} is older than its mirror in {folder}: an old copy was put back? To go on "
                f"with what the mirror holds: {_restore_command(home)} --from-mirror {folder}; to go on with the old "
                f"copy all the same, move {folder} away first"
            )
        case Verdict.FOREIGN:
            raise CommandError(f"{folder} is the metadata's mirror of another store; give another --meta-mirror")
        case Verdict.FOLLOWS:
            return


def make_equal(home: Home, settings: Settings, keyring: Keyring) -> None:
    """At the end of a start's own changes, before anything else runs."""
    folder = folder_of(home, settings)
    known = read_state(home.meta)
    if known is not None and known.folder != folder:
        _leave(home, known.folder)
    if folder is None:
        return
    database = home.meta / DATABASE
    try:
        prepare(database, folder, keyring.cluster_id)
        settle(folder)
        fold(database)
        caught = catch_up(database)
        keyring.copy_to(folder / NODE_FOLDER)
    except MirrorRefused as error:
        raise CommandError(str(error)) from error
    except (*FAULTS, OutOfStep) as error:
        _give_up(home, folder, error)
    else:
        log.info("metadata mirrored", mirror=str(folder), caught_up=caught)


def after_command(home: Home) -> None:
    """A command has changed a stopped store: its last close moved the log, which a copy of new bytes cannot follow."""
    known = read_state(home.meta)
    if known is None or is_running(home):
        return
    try:
        settle(known.folder)
        fold(home.meta / DATABASE)
        catch_up(home.meta / DATABASE)
    except (*FAULTS, OutOfStep) as error:
        _give_up(home, known.folder, error)


def disks_survived(home: Home) -> int:
    """How many disks, whichever they are, may be lost before metadata is."""
    state = read_state(home.meta)
    return 1 if state is not None and state.step is Step.IN_STEP else 0


def notes(home: Home) -> list[str]:
    """For who starts the store."""
    state = read_state(home.meta)
    if state is None:
        alone = f"metadata, small objects and keys stand on {home.path} alone: back that disk up"
        return [alone] if home.more else []
    if state.step is not Step.IN_STEP:
        return [f"the metadata's mirror in {state.folder} is {state.step} ({state.reason}): back {home.path} up"]
    shared = "" if state.apart else " (on the same filesystem)"
    return [f"metadata, small objects and keys are mirrored in {state.folder}{shared}"]


def status(home: Home) -> dict[str, object] | None:
    """For `cyxcloud status`."""
    state = read_state(home.meta)
    if state is None:
        return None
    return {"path": str(state.folder), "state": str(state.step), "since": state.since_ms, "reason": state.reason}


def remedy(home: Home) -> str:
    """The way back when the metadata is lost or damaged."""
    command = _restore_command(home)
    known = read_state(home.meta)
    candidates = [known.folder] if known is not None else [folder / FOLDER for folder in home.more]
    mirrors = [folder for folder in candidates if (folder / DATABASE).exists()]
    from_mirror = f"from its mirror ({command} --from-mirror {mirrors[0]}), " if mirrors else ""
    return f"restore it {from_mirror}from the nodes ({command}) or from a backup ({command} --file FILE)"


def _restore_command(home: Home) -> str:
    folders = " ".join(f"--data {folder}" for folder in home.data_dirs)
    return f"cyxcloud meta restore {folders} --recovery-code CODE"


def _leave(home: Home, folder: Path) -> None:
    """No mirror any more, or another: the one before must not pass for a good one."""
    with suppress(OSError):
        mark_stale(folder)
    (home.meta / NAME).unlink()
    log.warning("metadata is no longer mirrored here", mirror=str(folder))


def _give_up(home: Home, folder: Path, error: Exception) -> None:
    log.error("the metadata's mirror is stale", mirror=str(folder), error=str(error))
    with suppress(OSError):
        mark_stale(folder)
    state = StateFile(home.meta)
    if state.read() is not None:
        state.change(Step.STALE, SystemClock().now_ms(), str(error))
    state.close()
