"""Which part of the work is this mover's, where there are several: by leases, a share of the placements each.

Every mover has a lease in its own name, so that others see that it lives, and holds its fair part of the shares: it
lets go of what is too much, and takes what is free or whose holder's beat stood still. One mover holds the planning
lease and makes successors. A share decides who looks at a placement; that nothing is done twice is decided in the
transaction that commits, which checks the fences of the shares its work was taken under. A holder that is started again
under its name takes what is its own at once, with higher fences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from cyxcloud.core.ids import PlacementId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import leases
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.leases import Held, LeaseRow, Watch
from cyxcloud.meta.writer import Writes

log = structlog.get_logger(__name__)

PREFIX = "mover/"
PLANNING = "mover/planning"
PRESENCE = "mover/of/"
SHARES = 16
# A beat may be late by a commit or two before the lease counts as left.
BEATS = 4


def share_of(placement: PlacementId) -> str:
    return f"{PREFIX}{placement % SHARES:02}"


ALL_SHARES = tuple(share_of(PlacementId(number)) for number in range(SHARES))


@dataclass(frozen=True, slots=True)
class Wanted:
    take: tuple[str, ...] = ()
    release: tuple[str, ...] = ()


def wanted(holder: str, mine: Iterable[str], free: Iterable[str], alive: Iterable[str]) -> Wanted:
    """What this mover should take of what is free, and let go (pure). `alive`: all movers, by their names."""
    movers = sorted({*alive, holder})
    at, number = movers.index(holder), len(movers)
    fair = SHARES // number + (at < SHARES % number)
    shares = sorted(name for name in mine if name in ALL_SHARES)
    open_ones = sorted(name for name in free if name in ALL_SHARES and name not in shares)
    planning = (PLANNING,) if PLANNING in set(free) and PLANNING not in set(mine) else ()
    return Wanted((*planning, *open_ones[: max(0, fair - len(shares))]), tuple(shares[fair:]))


class Shares:
    name = "mover-shares"

    def __init__(self, reader: Connection, writer: Writes, holder: str, seconds: float) -> None:
        self._reader, self._writer, self._holder = reader, writer, holder
        self._watch, self._every = Watch(seconds), seconds / BEATS
        self._held: dict[str, Held] = {}

    async def step(self, now: float) -> Did | Idle:
        rows = {row.name: row for row in leases.read_all(self._reader, PREFIX)}
        expired = {name for name, row in rows.items() if name not in self._held and self._may_take(row, now)}
        alive = [row.holder for name, row in rows.items() if name.startswith(PRESENCE) and name not in expired]
        free = expired | {name for name in (*ALL_SHARES, PLANNING) if name not in rows}
        found = wanted(self._holder, self._held, free, alive)
        take = [*found.take, *({self._presence} - self._held.keys())]
        held = dict(self._held)
        now_held = await self._writer.submit(lambda conn: _settle(conn, self._holder, held, take, found.release, rows))
        if now_held.keys() != self._held.keys():
            log.info("shares of the mover's work changed", shares=len(now_held), holder=self._holder)
        self._held = now_held
        return Idle(now + self._every)

    async def release(self) -> None:
        """In an orderly end, so that the others need not wait."""
        held, self._held = self._held, {}
        await self._writer.submit(lambda conn: [leases.release(conn, each) for each in held.values()])

    @property
    def held(self) -> Mapping[str, Held]:
        return self._held

    @property
    def planning(self) -> Held | None:
        return self._held.get(PLANNING)

    @property
    def _presence(self) -> str:
        return PRESENCE + self._holder

    def _may_take(self, row: LeaseRow, now: float) -> bool:
        """What has this mover's name and is not held is of its life before."""
        return self._watch.expired(row, now) or row.holder == self._holder


def _settle(  # noqa: PLR0917 - one transaction for all that changes
    conn: Connection,
    holder: str,
    held: Mapping[str, Held],
    take: Sequence[str],
    release: Sequence[str],
    seen: Mapping[str, LeaseRow],
) -> dict[str, Held]:
    """What is held after it: what was kept, without what was let go, and what was won."""
    kept = {}
    for name, each in sorted(held.items()):
        if name in release:
            leases.release(conn, each)
        elif leases.keep(conn, each):
            kept[name] = each
    for name in sorted(take):
        won = leases.take(conn, name, holder, seen.get(name))
        if won is not None:
            kept[name] = won
    return kept
