"""Asks the nodes for the shards that rows place on them, some chunks at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from cyxcloud.core.ids import NodeId, NodeNumber, PlacementId
from cyxcloud.meta import check_shards
from cyxcloud.meta.check import Finding, Kind, named
from cyxcloud.meta.check_shards import LiveChunk
from cyxcloud.meta.rows import PlacementRow
from cyxcloud.wire.shardhost import ShardHost
from fleet.shardstates import PlacedChunk, ShardState, ask

# Enough to keep the hosts busy; each is a few hundred bytes.
AT_ONCE = 32
BAD = (ShardState.MISSING, ShardState.CORRUPT)


@dataclass(slots=True)
class ShardCheck:
    """`counts`: shards by state, as far as it has come."""

    hosts: Sequence[ShardHost]
    placements: Mapping[PlacementId, PlacementRow]
    node_ids: Mapping[NodeNumber, NodeId]
    now_ms: int
    counts: Counter[ShardState] = field(default_factory=Counter)
    chunks: int = 0

    async def findings(self, chunks: Iterable[LiveChunk]) -> AsyncIterator[Finding]:
        waiting = iter(chunks)
        while some := list(islice(waiting, AT_ONCE)):
            placed = [(chunk, found) for chunk in some if (found := self._placed(chunk)) is not None]
            answers = await asyncio.gather(*(ask(self.hosts, found) for _, found in placed))
            self.chunks += len(placed)
            for (chunk, _), states in zip(placed, answers, strict=True):
                self.counts.update(states)
                for finding in self._explain(chunk, states):
                    yield finding

    def _placed(self, chunk: LiveChunk) -> PlacedChunk | None:
        """None where rows do not say where it lies, which is a finding of another check."""
        row = self.placements.get(chunk.placement)
        if row is None or any(number not in self.node_ids for number in row.nodes):
            return None
        return PlacedChunk(chunk.blob, chunk.n, chunk.root, tuple(self.node_ids[number] for number in row.nodes))

    def _explain(self, chunk: LiveChunk, states: Sequence[ShardState]) -> Iterable[Finding]:
        bad = [(index, state) for index, state in enumerate(states) if state in BAD]
        if not bad:
            return
        where, k = f"blob {named(chunk.blob)} chunk {chunk.n}", self.placements[chunk.placement].k
        listed = ", ".join(f"{index} {state}" for index, state in bad)
        if len(states) - len(bad) < k:
            yield Finding(Kind.CHUNK_LOST, where, f"cannot be read, it takes {k} shards: {listed}")
            return
        reasons = [(index, str(state)) for index, state in bad]

        yield Finding(
            Kind.SHARD,
            where,
            f"shards: {listed}",
            partial(check_shards.file, found=chunk, reasons=reasons, now_ms=self.now_ms),
        )
