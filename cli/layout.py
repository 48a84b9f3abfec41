"""How many local nodes a new store gets, where they stand and with which profile (pure).

On one disk n + 2 nodes, so that writing goes on at full width while two are away. On several, so many a disk that the
disks left after losing one still hold n nodes, and the profile is the cheapest of which a whole disk's shards may be
missing: with two disks half of the shards stand on each, with three a third. None at all is a fleet's store, whose
nodes all stand on other boxes.
"""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.core.profile import Profile

SPARES = 2
DEFAULT_PROFILES = {2: Profile(4, 4), 3: Profile(8, 4)}  # by number of disks
DEFAULT_PROFILE = Profile(10, 4)


class LayoutError(Exception):
    """These nodes cannot hold a chunk of this profile; the text names the option."""


@dataclass(frozen=True, slots=True)
class PlannedNode:
    name: str
    disk: int  # which of the data folders


@dataclass(frozen=True, slots=True)
class Layout:
    profile: Profile
    nodes: tuple[PlannedNode, ...]


def plan(disks: int, profile: Profile | None = None, nodes: int | None = None) -> Layout:
    """The layout of a store on so many data folders."""
    chosen = profile or DEFAULT_PROFILES.get(disks, DEFAULT_PROFILE)
    count = nodes if nodes is not None else node_count(disks, chosen)
    if 0 < count < chosen.n:
        raise LayoutError(
            f"nodes: {count} cannot hold the {chosen.n} shards of {chosen}, one on each; "
            f"give --nodes {chosen.n} or more, 0 for a fleet's nodes alone, or a smaller --profile"
        )
    width = max(2, len(str(count)))
    return Layout(chosen, tuple(PlannedNode(f"node-{i + 1:0{width}}", i % disks) for i in range(count)))


def node_count(disks: int, profile: Profile) -> int:
    if disks == 1:
        return profile.n + SPARES
    return max(profile.n + SPARES, disks * -(-profile.n // (disks - 1)))
