"""What a worker's data plane is made of: one of each for all its uploads and downloads."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field

from cyxcloud.core.clock import Clock
from cyxcloud.shards.budget import ByteBudget
from cyxcloud.shards.buffers import BufferPool
from cyxcloud.shards.frames import CHUNK_BYTES
from cyxcloud.shards.hosts import HostMap
from cyxcloud.shards.placement import PlacementPool
from cyxcloud.shards.slots import Slots

# About a millisecond of hashing, coding and encrypting: no longer than a listing holds the event loop. Below it a hop
# to a thread, and two threads' handing the interpreter back and forth, cost up to a third more than the work itself.
INLINE_BYTES = 1_310_720


# Kept for the next chunks, three of the largest; more would only be memory that an idle worker holds.
IDLE_BYTES = 3 * CHUNK_BYTES


@dataclass(frozen=True, slots=True)
class Limits:
    straggler_seconds: float = 2.0  # for the last shards, once a chunk has its quorum
    put_seconds: float = 30.0  # a disk may be busy writing back what others left dirty
    chunks_in_flight: int = 3  # per blob: one being received, one being encoded, one being written
    prefetch_chunks: int = 2  # per blob read: one decoded ahead hides the hosts' latency, two its jitter
    read_seconds: float = 8.0  # for one chunk, all hedging included: a client hears within ten seconds
    first_hedge_seconds: float = 0.25  # before other shards are asked for, until latencies have been seen
    late_seconds: float = (
        1.0  # then what is late is asked for again, each alone: one stuck disk of a host stops no other
    )
    retry_seconds: float = 3.0  # for which a host that is just restarting is waited for
    retry_pause_seconds: float = 0.1


@dataclass(frozen=True, slots=True)
class DataPlane:
    """Several budgets, so that slow clients, holding bodies half received, never keep a whole chunk from being sent."""

    hosts: HostMap
    pool: PlacementPool
    threads: Executor
    clock: Clock
    receiving: ByteBudget  # plaintext being received, hashed or waiting to be encoded
    sending: ByteBudget  # shards on their way to the hosts
    reading: ByteBudget  # chunks fetched and decoded, not yet sent to their client
    limits: Limits = field(default_factory=Limits)
    plain: BufferPool = field(default_factory=lambda: BufferPool(IDLE_BYTES))
    slots: Slots = field(default_factory=Slots)
