"""How much of a kind may be lost, whichever it is, before a chunk cannot be read (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


def survived(lists: Sequence[Sequence[str]], m: int) -> int:
    """Each placement is given as its shards' domains; a shard without one (an empty name) is in nobody's company."""
    return min((_of_one(names, m) for names in lists), default=0)


def _of_one(names: Sequence[str], m: int) -> int:
    sizes = Counter(name for name in names if name)
    alone = len(names) - sum(sizes.values())
    lost = count = 0
    for shards in sorted([*sizes.values(), *([1] * alone)], reverse=True):
        lost += shards
        if lost > m:
            break
        count += 1
    return count
