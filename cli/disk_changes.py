"""Adds a disk to a store and takes one away: `cyxcloud disk add|remove`.

Adding: node folders are made whole, then one transaction adds their rows, then running hosts open them. Killed before
the transaction, the store knows nothing of the folders, and the command refuses the folder until it is emptied.
Removing: the disk's nodes are marked as leaving, which takes them out of the pool and has the mover move what they
hold; only when no chunk lies on them are their rows retired. Killed or broken off, the move goes on; given again, the
command waits for its end. Folders are never deleted.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cli import mirror
from cli.home import Home, is_running
from cli.hosts import connected, open_on
from cli.new_node import new_node
from cli.options import CommandError
from cli.store import Store
from cli.survival import Survival, survival
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.ids import NodeNumber, PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.meta import blobs, cluster, nodes, placements, profiles, strays
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.mirror_state import read_state
from cyxcloud.meta.rows import GONE, NodeRow, PlacementRow, PlacementState
from fleet.mover.plan import RETIRED
from fleet.placement.candidate import pool_candidates
from fleet.pool import TooFewNodes, make_pool
from fleet.publishing import publish_pools

_NUMBERED = re.compile(r"node-(\d+)")


@dataclass(frozen=True, slots=True)
class Added:
    names: tuple[str, ...]
    opened: bool  # by the hosts of a running store


@dataclass(frozen=True, slots=True)
class Leaving:
    """A disk that is to be emptied; `survives` is what will hold once that is done."""

    nodes: tuple[NodeRow, ...]
    survives: Survival

    @property
    def numbers(self) -> frozenset[NodeNumber]:
        return frozenset(row.number for row in self.nodes)


def add_disk(store: Store, folder: Path, count: int | None = None) -> Added:
    """CommandError says why not."""
    home, data_dir = store.home, folder.expanduser().resolve()
    if not data_dir.is_dir():
        raise CommandError(f"{data_dir} is not there: mount the disk and make the folder first")
    if any((data_dir / "nodes").glob("*")):
        raise CommandError(f"{data_dir / 'nodes'} holds nodes already; give a folder without any")
    known = cluster.read(store.reader)
    assert known is not None, "an open store has its cluster row"
    rows = _living(store.reader)
    now_ms = _now_ms(store.reader)
    here = [row for row in rows if not row.is_remote]
    names = _new_names(nodes.read_all(store.reader), count if count is not None else _fair_count(here))
    made = [new_node(store.keyring, known.incarnation, name, data_dir, now_ms) for name in names]
    store.change(lambda conn: _add(conn, made))
    opened = is_running(home) and asyncio.run(_open_all(store, made))
    return Added(tuple(names), opened)


def begin_removal(store: Store, folder: Path) -> Leaving:
    """Marks the disk's nodes as leaving; CommandError where the others could not hold a chunk."""
    disk = str(folder.expanduser().resolve())
    rows = _living(store.reader)
    here = [row for row in rows if not row.is_remote]
    leaving = [row for row in here if row.disk == disk]
    if not leaving:
        disks = ", ".join(sorted({row.disk for row in here})) or "none"
        raise CommandError(f"no node of this store is on {disk}; its disks are {disks}")
    if Path(disk) == store.home.path:
        raise CommandError(f"{disk} is the store's home, with its metadata and keys: it cannot be removed")
    kept = read_state(store.home.meta)
    if kept is not None and kept.folder is not None and kept.folder.is_relative_to(disk):
        raise CommandError(
            f"{kept.folder} is the metadata's mirror: start the store with --meta-mirror on another disk first"
        )
    numbers = {row.number for row in leaving}
    after = [replace(row, leaving=row.leaving or row.number in numbers) for row in rows]
    survives = _survives_after(store.home, store.reader, after)
    store.change(lambda conn: _leave(conn, numbers))
    return Leaving(tuple(leaving), survives)


def chunks_left(conn: Connection, leaving: frozenset[NodeNumber]) -> int:
    """Chunks that still have a shard on one of these nodes."""
    on_them = {row.id for row in placements.read_all(conn) if not leaving.isdisjoint(row.nodes)}
    return sum(count for placement, count in blobs.count_by_placement(conn).items() if placement in on_them)


def cancel_removal(store: Store, leaving: Leaving) -> None:
    """The nodes stay; what was moved away by now stays where it is."""

    def stay(conn: Connection) -> None:
        for number in leaving.numbers:
            nodes.set_leaving(conn, number, leaving=False)
        publish_pools(conn, _living(conn), random.SystemRandom())
        cluster.bump(conn, Epoch.TOPOLOGY)

    store.change(stay)


def end_removal(store: Store, leaving: Leaving) -> bool:
    """Retires the nodes; False where a write has meanwhile put a chunk on them."""
    now_ms = _now_ms(store.reader)

    def retire(conn: Connection) -> bool:
        if chunks_left(conn, leaving.numbers):
            return False
        for row in leaving.nodes:
            name = f"{row.name}{RETIRED}{row.number}"
            nodes.retire(conn, row.number, name, row.endpoint, now_ms, reason="removed")
            strays.remove_node(conn, row.number)
        publish_pools(conn, _living(conn), random.SystemRandom())
        cluster.bump(conn, Epoch.TOPOLOGY)
        return True

    return store.change(retire)


def _living(conn: Connection) -> list[NodeRow]:
    return [row for row in nodes.read_all(conn) if row.state != GONE]


def _fair_count(rows: Sequence[NodeRow]) -> int:
    """As many as the other disks have on average, rounded up."""
    if not rows:
        raise CommandError("no disk has nodes to go by: say how many with --nodes")
    return -(-len(rows) // len({row.disk for row in rows}))


def _new_names(rows: Sequence[NodeRow], count: int) -> list[str]:
    if count < 1:
        raise CommandError("a disk needs one node at least")
    taken = [int(found[1]) for row in rows if (found := _NUMBERED.match(row.name))]
    first = max(taken, default=0) + 1
    width = max(2, len(str(first + count - 1)))
    return [f"node-{number:0{width}}" for number in range(first, first + count)]


def _add(conn: Connection, made: Sequence[NodeRow]) -> None:
    first = max((row.number for row in nodes.read_all(conn)), default=0) + 1
    for number, row in enumerate(made, start=first):
        nodes.upsert(conn, replace(row, number=NodeNumber(number)))
    cluster.bump(conn, Epoch.TOPOLOGY)


async def _open_all(store: Store, made: Sequence[NodeRow]) -> bool:
    """Spread over the hosts there are."""
    async with connected(store) as hosts:
        if not hosts:
            return False
        folders = [Path(row.endpoint.removeprefix("file://")) for row in made]
        opening = [
            open_on(hosts[at % len(hosts)], row.node_id, folder)
            for at, (row, folder) in enumerate(zip(made, folders, strict=True))
        ]
        return all(await asyncio.gather(*opening))


def _leave(conn: Connection, numbers: set[NodeNumber]) -> None:
    for number in numbers:
        nodes.set_leaving(conn, number, leaving=True)
    publish_pools(conn, _living(conn), random.SystemRandom())
    cluster.bump(conn, Epoch.TOPOLOGY)


def _survives_after(home: Home, conn: Connection, after: Sequence[NodeRow]) -> Survival:
    """What pools of the nodes that stay survive."""
    staying = [row for row in after if not row.leaving]
    held = set(placements.in_use(conn))
    in_use = {Profile(row.k, row.m) for row in placements.read_all(conn) if row.id in held}
    lists = [
        (profile, members)
        for profile in in_use | set(profiles.read_all(conn).values())
        for members in _pool_after(staying, profile)
    ]
    made = [
        PlacementRow(PlacementId(number), profile.k, profile.m, members, PlacementState.OPEN, None)
        for number, (profile, members) in enumerate(lists, start=1)
    ]
    return survival(staying, made, metadata_disks=mirror.disks_survived(home))


def _pool_after(staying: Sequence[NodeRow], profile: Profile) -> list[tuple[NodeNumber, ...]]:
    try:
        if len(staying) < profile.n:
            raise TooFewNodes  # noqa: TRY301 - said once, below
        return make_pool(pool_candidates(staying), profile, random.SystemRandom())
    except TooFewNodes:
        raise CommandError(
            f"the {len(staying)} nodes that would be left cannot hold the {profile.n} shards of {profile}: "
            "add a disk first (`cyxcloud disk add DIR`)"
        ) from None


def _now_ms(conn: Connection) -> int:
    """The store's time."""
    kept = cluster.clock(conn)
    return SystemClock().now_ms() if kept is None else max(kept[0], SystemClock().now_ms())
