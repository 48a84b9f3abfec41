"""Which host serves which node, and which nodes are to be left alone for now.

Hosts say in HELLO which nodes they serve; the map is rebuilt from that by `refresh`, once a second. A host or node
that has just failed is avoided for a few seconds by this process alone, without asking anybody, so that the next
request does not wait for it again; after that it is tried like any other. A host that a request had to do without,
because it said nothing in time, is left out until it answers a question of its own: requests that only met a moment's
delay have it back at once, and one that hangs is waited for by nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cyxcloud.core.clock import Clock
from cyxcloud.core.ids import NodeId
from cyxcloud.shards.speeds import Speeds
from cyxcloud.wire.shardhost import ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable, NodeState, WireError

# Long enough that a dead host costs few requests their time, short enough that a restarted one is soon used again.
AVOID_SECONDS = 5.0
# How long it is not asked again which hosts are slow: a look goes through all of them.
SLOW_SECONDS = 1.0
_READABLE = frozenset({NodeState.UP, NodeState.READ_ONLY})
# Placements in use are few; when rebuilt ones have filled the cache it is simply started anew.
MAX_CACHED_GROUPINGS = 4096


@dataclass(frozen=True, slots=True)
class HostGroup:
    """The shards of one chunk that one host serves: their indexes and, in the same order, their nodes."""

    host: ShardHost
    indexes: tuple[int, ...]
    nodes: tuple[NodeId, ...]


class HostMap:
    def __init__(self, clock: Clock, hosts: Iterable[ShardHost] = ()) -> None:
        self._clock = clock
        self._given: Sequence[ShardHost] = ()
        self._hosts: tuple[ShardHost, ...] = ()
        self._host_of: dict[NodeId, ShardHost] = {}
        self._avoided: dict[NodeId, float] = {}
        self._silent: dict[ShardHost, asyncio.Task[None]] = {}
        self._next_expiry = 0.0
        self._disconnected: tuple[ShardHost, ...] = ()
        self._writable: frozenset[NodeId] = frozenset()
        self._readable: frozenset[NodeId] = frozenset()
        self._groups: dict[tuple[tuple[NodeId, ...], tuple[int, ...]], list[HostGroup]] = {}
        self._slow: frozenset[NodeId] = frozenset()
        self._slow_until = 0.0
        self.far: frozenset[NodeId] = frozenset()  # in another region than this process
        self.reads, self.big_reads, self.writes = Speeds(), Speeds(), Speeds()
        self.assign(hosts)

    def assign(self, hosts: Iterable[ShardHost]) -> None:
        """Looked at again by each `refresh`: it may be a sequence that changes."""
        self._given = hosts if isinstance(hosts, Sequence) else tuple(hosts)
        self.refresh()

    def refresh(self) -> None:
        """Take over which hosts there are, and what they now say about their nodes."""
        self._hosts = tuple(self._given)
        host_of = {node: host for host in self._hosts for node in host.nodes}
        if host_of != self._host_of:
            self._host_of = host_of
            self._groups.clear()
            for speeds in (self.reads, self.big_reads, self.writes):
                speeds.forget_others(self._hosts)
        self._recompute()

    @property
    def writable(self) -> frozenset[NodeId]:
        self._expire()
        return self._writable

    @property
    def readable(self) -> frozenset[NodeId]:
        self._expire()
        return self._readable

    def seconds_to_read(self, node: NodeId, *, big: bool) -> float:
        """How long a read of its shard is likely to take."""
        speeds = self.big_reads if big else self.reads
        return speeds.expected(self._host_of.get(node), self._clock.monotonic(), far=node in self.far)

    @property
    def slow(self) -> frozenset[NodeId]:
        """Nodes that writes had better leave to others."""
        now = self._clock.monotonic()
        if now >= self._slow_until:
            self._slow_until = now + SLOW_SECONDS
            hosts = self.writes.slow(now)
            self._slow = frozenset(node for node, host in self._host_of.items() if host in hosts)
        return self._slow

    @contextlib.contextmanager
    def timed(self, speeds: Speeds, host: ShardHost) -> Iterator[None]:
        """Around a request to it."""
        started = self._clock.monotonic()
        speeds.began(host)
        answered = False
        try:
            yield
            answered = True
        finally:
            now = self._clock.monotonic()
            speeds.ended(host, now - started, now, answered=answered)

    def group(self, nodes: tuple[NodeId, ...], indexes: tuple[int, ...]) -> list[HostGroup]:
        """These shards of a placement by host; those whose node no host serves are left out."""
        key = (nodes, indexes)
        groups = self._groups.get(key)
        if groups is None:
            if len(self._groups) >= MAX_CACHED_GROUPINGS:
                self._groups.clear()
            groups = self._groups[key] = self._grouped(nodes, indexes)
        return groups

    def host(self, node: NodeId) -> ShardHost | None:
        return self._host_of.get(node)

    def avoid_node(self, node: NodeId) -> None:
        self._avoid((node,))

    def avoid_host(self, host: ShardHost) -> None:
        """Leave all its nodes alone: for a while, or, where the connection is gone, until there is one again."""
        if not host.connected:
            self._recompute()
            return
        self._avoid(node for node, served_by in self._host_of.items() if served_by is host)

    def leave_out(self, host: ShardHost) -> None:
        """A request was answered by others while this one said nothing; the only one is never left out."""
        if len(self._hosts) > 1 and host not in self._silent:
            self._silent[host] = asyncio.get_running_loop().create_task(self._until_it_answers(host))
            self._recompute()

    async def _until_it_answers(self, host: ShardHost) -> None:
        try:
            while True:
                try:
                    await host.stats()
                except (HostUnavailable, HostRefused, WireError):
                    if not host.connected:
                        return  # nobody asks it anyhow, until there is a connection again
                else:
                    return
        finally:
            del self._silent[host]
            self._recompute()

    def _avoid(self, nodes: Iterable[NodeId]) -> None:
        self._avoided.update(dict.fromkeys(nodes, self._clock.monotonic() + AVOID_SECONDS))
        self._recompute()

    def _expire(self) -> None:
        expired = self._avoided and self._clock.monotonic() >= self._next_expiry
        if expired or (self._disconnected and any(host.connected for host in self._disconnected)):
            self._recompute()

    def _recompute(self) -> None:
        now = self._clock.monotonic()
        self._avoided = {node: until for node, until in self._avoided.items() if until > now}
        self._next_expiry = min(self._avoided.values(), default=0.0)
        self._disconnected = tuple(host for host in self._hosts if not host.connected)
        answering = [host for host in self._hosts if host.connected and host not in self._silent]
        states = {node: info.state for host in answering for node, info in host.nodes.items()}
        usable = {node: state for node, state in states.items() if node not in self._avoided}
        self._writable = frozenset(node for node, state in usable.items() if state is NodeState.UP)
        self._readable = frozenset(node for node, state in usable.items() if state in _READABLE)

    def _grouped(self, nodes: tuple[NodeId, ...], indexes: tuple[int, ...]) -> list[HostGroup]:
        by_host: dict[int, tuple[ShardHost, list[int]]] = {}
        for index in indexes:
            host = self._host_of.get(nodes[index])
            if host is not None:
                by_host.setdefault(id(host), (host, []))[1].append(index)
        return [
            HostGroup(host, tuple(served), tuple(nodes[index] for index in served)) for host, served in by_host.values()
        ]
