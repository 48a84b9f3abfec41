"""Which of a node's shards nobody can ever refer to, and whether so many of them may be believed (pure).

A shard may go where no chunk row places it on its node, no order names it, and the session that made its blob was
closed before the rows were read: a commit checks its session's row, so none can come any more. A session that the
database has never heard of says that the database is older than the shard. It counts as open, unless this database was
restored and an operator has confirmed it: then what it does not know is what the restore has lost.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from cyxcloud.core.ids import NodeNumber, SessionNumber, ShardId, session_of

# More than this of a node looks like a mistake of ours (an old database, a wrong folder), not like cut-off uploads.
BELIEVED_SHARE = 0.01
# Uploads cut off in a small store are soon more than that share of it.
BELIEVED_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Sessions:
    """`closed`: those that were closed before anything was listed. `is_known` asks the rows that are read after it."""

    closed: Container[SessionNumber]
    is_known: Callable[[SessionNumber], bool]
    unknown_are_closed: bool

    def is_over(self, number: SessionNumber) -> bool:
        """Whether nothing of it can be committed any more."""
        return number in self.closed or (self.unknown_are_closed and not self.is_known(number))


@dataclass(frozen=True, slots=True)
class Tally:
    """What a pass found on one node."""

    node: NodeNumber
    node_bytes: int
    found_bytes: int
    found_shards: int

    @property
    def is_believed(self) -> bool:
        return self.found_bytes <= max(BELIEVED_BYTES, int(self.node_bytes * BELIEVED_SHARE))


def unreferenced(
    listed: Mapping[ShardId, int], placed: Container[ShardId], pending: Container[ShardId], sessions: Sessions
) -> dict[ShardId, int]:
    """Those that may go, with their sizes. `placed`: by chunk rows; `pending`: ordered gone, or in the trash."""
    return {
        shard: size
        for shard, size in listed.items()
        if shard not in placed and shard not in pending and sessions.is_over(session_of(shard.blob))
    }


def held(tallies: Iterable[Tally], allowed: Container[NodeNumber]) -> list[Tally]:
    """Nodes on which more was found than is believed without an operator's word."""
    return [tally for tally in tallies if not tally.is_believed and tally.node not in allowed]
