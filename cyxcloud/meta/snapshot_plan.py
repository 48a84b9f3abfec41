"""Which groups of the database file a snapshot has to write (pure).

Those whose hash is not the one that an older blob holds at their place. Of what older blobs hold, more and more is
overtaken: once that is more than what is live, the blobs with the least left are given up and their live groups are
written again, so that the nodes never hold more than about twice the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyxcloud.meta.snapshot_manifest import Group, Manifest, SnapshotBlob


@dataclass(frozen=True, slots=True)
class SnapshotPlan:
    """`kept`: older blobs that stay, and for each group its place in one of these or None where it is written.
    `written`: the numbers of the groups to write, ascending."""

    kept: tuple[SnapshotBlob, ...]
    places: tuple[Group | None, ...]
    written: tuple[int, ...]


def plan_snapshot(before: Manifest | None, hashes: Sequence[bytes]) -> SnapshotPlan:
    if before is None:
        return SnapshotPlan((), (None,) * len(hashes), tuple(range(len(hashes))))
    unchanged = [
        group if group is not None and group.hash == hashed else None
        for group, hashed in zip(_of_length(before.groups, len(hashes)), hashes, strict=True)
    ]
    kept = _kept(before.blobs, unchanged)
    number = {old: new for new, old in enumerate(kept)}
    places = tuple(
        Group(number[group.blob], group.at, group.hash) if group is not None and group.blob in number else None
        for group in unchanged
    )
    written = tuple(at for at, place in enumerate(places) if place is None)
    return SnapshotPlan(tuple(before.blobs[old] for old in kept), places, written)


def _of_length(groups: Sequence[Group], length: int) -> list[Group | None]:
    return [*groups[:length], *[None] * (length - len(groups))]


def _kept(blobs: Sequence[SnapshotBlob], unchanged: Sequence[Group | None]) -> list[int]:
    """The blobs that stay, by number: those with something live, less the emptiest while the dead outnumber it."""
    live = [0] * len(blobs)
    for group in unchanged:
        if group is not None:
            live[group.blob] += 1
    kept = [at for at in range(len(blobs)) if live[at]]
    dead = sum(blobs[at].stored_groups - live[at] for at in kept)
    emptiest = sorted(kept, key=lambda at: live[at] / blobs[at].stored_groups)
    for at in emptiest:
        if dead <= len(unchanged):
            break
        dead -= blobs[at].stored_groups - live[at]
        kept.remove(at)
    return kept
