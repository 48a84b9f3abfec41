"""Which shards may go: never one that something refers to or may still refer to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import COUNTER_BITS, BlobId, NodeNumber, SessionNumber, ShardId
from fleet.unreferenced import BELIEVED_BYTES, Sessions, Tally, held, unreferenced

SESSIONS = range(1, 6)
shards = st.builds(
    ShardId,
    st.builds(lambda session, n: BlobId(session << COUNTER_BITS | n), st.sampled_from(SESSIONS), st.integers(1, 3)),
    st.integers(0, 1),
    st.integers(0, 2),
)
some_shards = st.sets(shards, max_size=30)
some_sessions = st.sets(st.sampled_from(SESSIONS))


def sessions(closed: set[int], known: set[int], *, restored: bool) -> Sessions:
    return Sessions({SessionNumber(n) for n in closed}, lambda number: number in known, unknown_are_closed=restored)


@given(
    listed=some_shards,
    placed=some_shards,
    pending=some_shards,
    closed=some_sessions,
    open_ones=some_sessions,
    restored=st.booleans(),
)
def test_unreferenced_is_never_placed_pending_or_of_a_session_that_may_commit(
    *,
    listed: set[ShardId],
    placed: set[ShardId],
    pending: set[ShardId],
    closed: set[int],
    open_ones: set[int],
    restored: bool,
) -> None:
    open_ones -= closed
    unknown = set(SESSIONS) - closed - open_ones
    known = closed | open_ones
    found = unreferenced(dict.fromkeys(listed, 1), placed, pending, sessions(closed, known, restored=restored))
    for shard in found:
        session = shard.blob >> COUNTER_BITS
        assert shard in listed
        assert shard not in placed
        assert shard not in pending
        assert session not in open_ones
        assert restored or session not in unknown
    may_go = {
        s for s in listed - placed - pending if s.blob >> COUNTER_BITS in closed | (unknown if restored else set())
    }
    assert set(found) == may_go


def tally(node_bytes: int, found_bytes: int) -> Tally:
    return Tally(NodeNumber(1), node_bytes, found_bytes, 1)


def test_held_is_more_than_a_hundredth_of_a_node_and_more_than_the_floor() -> None:
    assert held([tally(0, BELIEVED_BYTES), tally(200 * BELIEVED_BYTES, 2 * BELIEVED_BYTES)], ()) == []
    over = [tally(0, BELIEVED_BYTES + 1), tally(200 * BELIEVED_BYTES, 2 * BELIEVED_BYTES + 1)]
    assert held(over, ()) == over
    assert held(over, {NodeNumber(1)}) == []
