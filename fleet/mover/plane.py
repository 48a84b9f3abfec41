"""The data plane that the mover works on: its own connections, small budgets, threads that give way to requests."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor

from cyxcloud.core.clock import Clock
from cyxcloud.shards.budget import ByteBudget
from cyxcloud.shards.hosts import HostMap
from cyxcloud.shards.placement import PlacementPool
from cyxcloud.shards.plane import DataPlane, Limits
from cyxcloud.wire.shardhost import ShardHost

# A busy disk serves requests first, so it gets longer than a reader would give it; a host that is not there is not
# waited for, since the chunk is tried again later anyway.
LIMITS = Limits(read_seconds=30.0, first_hedge_seconds=2.0, late_seconds=5.0, retry_seconds=0.0)
THREADS = 2
NICENESS = 10
UNUSED_BYTES = 1  # the mover neither receives nor serves bodies


def coding_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="mover", initializer=_give_way)


def mover_plane(hosts: Iterable[ShardHost], clock: Clock, threads: Executor) -> DataPlane:
    host_map = HostMap(clock, hosts)
    receiving, sending, reading = (ByteBudget(UNUSED_BYTES) for _ in range(3))
    return DataPlane(host_map, PlacementPool(host_map), threads, clock, receiving, sending, reading, LIMITS)


def _give_way() -> None:
    """Linux keeps a niceness for each thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
