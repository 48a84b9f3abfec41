"""The first start makes a store; every later one finds it again and touches nothing.

Order of the first: mark (`DIR/creating`), database, keyring, node folders, then one transaction with cluster, root
user, nodes and placements, which makes it a store; at last the mark goes. Killed before the transaction, the next start
clears what the mark says is unfinished (no request was ever served) and begins anew; killed after it, only the mark is
left. The secrets to be shown wait in keys/not-shown (0600) until they were shown, so that a crash cannot swallow them.
Without the mark nothing is ever cleared: an empty database beside node folders is refused.
"""

from __future__ import annotations

import json
import random
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import alembic.util
import structlog

from cli import access, classes, cleanstop, layout, mirror
from cli.access import NewKey, NewUser
from cli.consistency import refuse_mismatch
from cli.home import Home
from cli.layout import Layout
from cli.new_node import new_node
from cli.options import CommandError
from cli.store import REFUSALS, change, database_of, open_keyring, refusal
from cli.survival import Survival, survival
from cyxcloud.core import keycopies
from cyxcloud.core.clock import Clock, SystemClock
from cyxcloud.core.config import ConfigError, FirstStart, Settings
from cyxcloud.core.durable import create_file, make_dirs, remove_file, write_file
from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.keyring import Keyring
from cyxcloud.core.profile import Profile
from cyxcloud.core.recovery_code import BadRecoveryCode, RecoveryCode
from cyxcloud.meta import cluster, health, integrity, nodes, placements, profiles
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import REVISION, Database
from cyxcloud.meta.rows import GONE, UP, ClusterRow, NodeRow, PlacementRow, PlacementState
from fleet.keycopies import copy_folders, node_folder
from fleet.placement.candidate import pool_candidates
from fleet.pool import make_pool

log = structlog.get_logger(__name__)

FORMAT = 1
INCARNATION_BYTES = 16
ROOT_NAME = "root"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is shown once; the recovery code is empty where only a root key was given anew."""

    recovery_code: str
    access_key: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class Opened:
    node_folders: tuple[Path, ...]
    profile: Profile
    survives: Survival
    secrets: Secrets | None
    notes: tuple[str, ...] = ()
    remote_nodes: int = 0


def open_store(home: Home, settings: Settings, given: FirstStart, clock: Clock | None = None) -> Opened:
    """The store at this home, made where there is none; CommandError or ConfigError where it cannot be served."""
    now_ms = (clock or SystemClock()).now_ms()
    database = database_of(home)
    try:
        _clear_unfinished(home, database)
        if not _is_store(database):
            _refuse_orphans(home)
            _create(home, database, settings, given, now_ms)
        _bring_up_to_date(home, database)
        mirror.refuse_older_home(home, settings, database.reader())
        keyring = open_keyring(home, database)
        refuse_mismatch(home, database, keyring)
        keycopies.refresh(keyring, copy_folders(nodes.read_all(database.reader()), home.data_dirs))
        _ensure_root_key(home, database, keyring, given, now_ms)
        classes.bring_up_to_date(database, settings.classes)
        mirror.make_equal(home, settings, keyring)
        return _opened(home, database, settings)
    except REFUSALS as error:
        raise refusal(home, error) from error
    finally:
        database.close()


def forget_secrets(home: Home) -> None:
    """They were shown."""
    remove_file(_not_shown(home))


# The first start


def _create(home: Home, database: Database, settings: Settings, given: FirstStart, now_ms: int) -> None:
    plan = layout.plan(
        len(home.data_dirs), Profile.parse(settings.profile) if settings.profile else None, settings.nodes
    )
    if not plan.nodes and not settings.fleet.listen:
        raise ConfigError("nodes: without any here those of other boxes need a way in; give --fleet-listen HOST:PORT")
    code = _recovery_code(given)
    for folder in home.data_dirs:
        make_dirs(folder)
    create_file(_mark(home), b"")
    database.upgrade()
    keyring = Keyring.create(home.keys, code)
    if given.recovery_code is not None:
        keyring.confirm(home.keys)  # whoever gave the code has it
    incarnation = secrets.token_bytes(INCARNATION_BYTES)
    rows = _make_nodes(home, plan, keyring, incarnation, now_ms)
    key = _root_key(given) or NewKey.generate("made at the first start")
    write_file(
        _not_shown(home), json.dumps(asdict(Secrets(code.text(), key.access_key, key.secret_key))).encode(), mode=0o600
    )
    _write_credentials(home, key)
    lists = _pool(rows, plan.profile) if rows else []  # of a fleet's nodes it is published when enough have joined

    def request(conn: Connection) -> None:
        assert cluster.create(conn, ClusterRow(keyring.cluster_id, incarnation, FORMAT, now_ms))
        root = access.add_user(conn, NewUser(NewUser.generated_id(), ROOT_NAME, is_root=True), now_ms)
        access.add_key(conn, keyring, root, key, now_ms)
        for row in rows:
            nodes.upsert(conn, row)
        profiles.create(conn, plan.profile)
        placements.add(conn, lists)
        cluster.bump(conn, Epoch.TOPOLOGY)

    change(database, request)
    remove_file(_mark(home))


def _make_nodes(home: Home, plan: Layout, keyring: Keyring, incarnation: bytes, now_ms: int) -> list[NodeRow]:
    made = [new_node(keyring, incarnation, node.name, home.data_dirs[node.disk], now_ms) for node in plan.nodes]
    return [
        replace(row, number=NodeNumber(number), state=UP, reason="", since_ms=0)
        for number, row in enumerate(made, start=1)
    ]


def _pool(rows: Sequence[NodeRow], profile: Profile) -> list[PlacementRow]:
    lists = make_pool(pool_candidates(rows), profile, random.SystemRandom())
    return [
        PlacementRow(PlacementId(number), profile.k, profile.m, members, PlacementState.OPEN, None)
        for number, members in enumerate(lists, start=1)
    ]


def _recovery_code(given: FirstStart) -> RecoveryCode:
    if given.recovery_code is None:
        return RecoveryCode.generate()
    try:
        return RecoveryCode.parse(given.recovery_code.get_secret_value())
    except BadRecoveryCode as error:
        raise ConfigError(f"CYXCLOUD_RECOVERY_CODE: {error}; correct or unset it") from None


# What an earlier start left


def _is_store(database: Database) -> bool:
    return database.revision() is not None and cluster.exists(database.reader())


def _clear_unfinished(home: Home, database: Database) -> None:
    if not _mark(home).exists():
        return
    if not _is_store(database):
        database.close()
        for folder in (home.meta, home.keys, home.keys.with_name("keys.new"), *(d / "nodes" for d in home.data_dirs)):
            shutil.rmtree(folder, ignore_errors=True)
    remove_file(_mark(home))


def _refuse_orphans(home: Home) -> None:
    """Nodes or keys without their database: to make a new store here would orphan the data for good."""
    found = [folder / "nodes" for folder in home.data_dirs if any((folder / "nodes").glob("*"))]
    found += [home.keys] if home.keys.exists() else []
    if found:
        raise CommandError(
            f"{home.meta} holds no store but {', '.join(map(str, found))} belong to one: put its {home.meta} back "
            "(from the mirror or a backup), name its home as the first --data, or give an empty folder for a new store"
        )


# Every start


def _bring_up_to_date(home: Home, database: Database) -> None:
    """To this release's schema, and checked, page by page where that takes no time."""
    if database.revision() != REVISION:
        try:
            database.upgrade()
        except alembic.util.CommandError as error:  # a revision that no migration of ours leads to
            log.warning("no way to this schema", reason=str(error))
    database.check_revision()
    unclean = cleanstop.is_running_marked(home)
    checked = integrity.check(database, unclean=unclean)
    if unclean:
        log.warning("the store was not stopped in order; its metadata is sound", **asdict(checked))


def _opened(home: Home, database: Database, settings: Settings) -> Opened:
    found = nodes.read_all(database.reader())
    lists = placements.read_all(database.reader())
    profile = profiles.default_profile(database.reader())
    present = [row for row in found if row.state != GONE and not row.is_remote]
    _refuse_changes(settings, profile, len(present))
    waiting = _not_shown(home)
    return Opened(
        node_folders=tuple(node_folder(row, home.data_dirs) for row in present),
        profile=profile,
        survives=survival(
            found, lists, health.read(database.reader()).used, metadata_disks=mirror.disks_survived(home)
        ),
        secrets=Secrets(**json.loads(waiting.read_text())) if waiting.exists() else None,
        notes=(*_notes(home), *_fleet_notes(settings, profile, found)),
        remote_nodes=sum(row.state != GONE and row.is_remote for row in found),
    )


def _refuse_changes(settings: Settings, profile: Profile, count: int) -> None:
    """What is fixed at the first start is not silently ignored later."""
    if settings.profile is not None and Profile.parse(settings.profile) != profile:
        raise ConfigError(f"profile: this store was made with {profile}; leave the setting out")
    if settings.nodes is not None and settings.nodes != count:
        raise ConfigError(f"nodes: this store has {count} nodes on this box; leave the setting out")


def _notes(home: Home) -> list[str]:
    notes = []
    if len({folder.stat().st_dev for folder in home.data_dirs}) < len(home.data_dirs):
        notes.append("some data folders share a filesystem; each is counted as a disk all the same")
    return [*notes, *mirror.notes(home)]


def _fleet_notes(settings: Settings, profile: Profile, found: Sequence[NodeRow]) -> list[str]:
    living = [row for row in found if row.state != GONE]
    notes = []
    if len(living) < profile.n:
        notes.append(
            f"{len(living)} of the {profile.n} nodes that {profile} needs have joined: objects above 16 KiB are refused"
        )
    if all(row.is_remote for row in living):
        notes.append("the keyring has no copy on a node: keep one of the folder keys/ and the recovery code elsewhere")
    if not settings.fleet.listen and any(row.is_remote for row in living):
        notes.append("nodes of other boxes have nowhere to report to: give --fleet-listen HOST:PORT")
    return notes


def _ensure_root_key(home: Home, database: Database, keyring: Keyring, given: FirstStart, now_ms: int) -> None:
    """A root key given by the environment is the root's key, at every start."""
    key = _root_key(given)
    if key is None:
        return
    change(database, lambda conn: access.ensure_key(conn, keyring, access.root_user(conn), key, now_ms))
    _write_credentials(home, key)


def _root_key(given: FirstStart) -> NewKey | None:
    if given.root_access_key is None or given.root_secret_key is None:
        return None
    return NewKey(given.root_access_key, given.root_secret_key.get_secret_value(), "given by the environment")


def _write_credentials(home: Home, key: NewKey) -> None:
    write_file(home.root_credentials, access.credentials_file(key.access_key, key.secret_key), mode=0o600)


def _mark(home: Home) -> Path:
    return home.path / "creating"


def _not_shown(home: Home) -> Path:
    return home.keys / "not-shown"
