"""The hosts that a process stores and reads shards at: those of this box, and one for each node on another.

It is a sequence that changes: whoever goes through it sees the hosts of that moment. Nodes come and go by the topology
epoch; a node that left, was disqualified or whose key is denied is not dialled any more. A host on another box is
believed about its own node alone, whatever it says it serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import overload

from cyxcloud.core.certificates import TlsIdentity
from cyxcloud.core.ids import NodeId
from cyxcloud.meta import cluster, denials, nodes
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import DISQUALIFIED, GONE, NodeRow
from cyxcloud.wire.arrivals import Arrivals
from cyxcloud.wire.client import HostClient
from cyxcloud.wire.codec import Hello
from cyxcloud.wire.endpoint import RemoteEndpoint
from cyxcloud.wire.shardhost import ShardHost


class Hosting(Sequence[ShardHost]):
    def __init__(
        self,
        reader: Connection,
        local: Sequence[ShardHost],
        hello: Hello,
        identity: Callable[[], TlsIdentity],
        arrivals: Arrivals | None = None,
    ) -> None:
        self._reader, self._hello, self._identity = reader, hello, identity
        self._arrivals = arrivals
        self._local = tuple(local)
        self._remote: dict[NodeId, tuple[str, HostClient]] = {}
        self._hosts: tuple[ShardHost, ...] = self._local
        self._epochs = (-1, -1)
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def remote(self) -> dict[NodeId, ShardHost]:
        """By the id that each one's certificate names."""
        return {node: host for node, (_, host) in self._remote.items()}

    async def sync(self) -> bool:
        """Follow the node table; True where the hosts are others than before."""
        epochs = cluster.epochs(self._reader)
        if (epochs.topology, epochs.trust) == self._epochs:
            return False
        self._epochs = epochs.topology, epochs.trust
        denied = denials.read_all(self._reader)
        rows = [row for row in nodes.read_all(self._reader) if self._is_used(row) and row.node_id not in denied]
        wanted = {row.node_id: row.address for row in rows}
        gone = [node for node, (address, _) in self._remote.items() if wanted.get(node) != address]
        for node in gone:
            self._end(self._remote.pop(node)[1])
            if self._arrivals is not None:
                self._arrivals.forget(node)
        added = wanted.keys() - self._remote.keys()
        for node in added:
            host = HostClient(self._endpoint(node, wanted[node]), self._hello)
            await host.start()
            self._remote[node] = wanted[node], host
        self._hosts = (*self._local, *(host for _, host in self._remote.values()))
        return bool(gone or added)

    async def close(self) -> None:
        """The remote ones; who made the local ones closes them."""
        for _, host in self._remote.values():
            await host.close()
        self._remote.clear()
        self._hosts = self._local

    def _is_used(self, row: NodeRow) -> bool:
        """One without an address has to dial us."""
        reachable = bool(row.address) or self._arrivals is not None
        return row.is_remote and reachable and row.state != GONE and row.standing != DISQUALIFIED

    def _endpoint(self, node: NodeId, address: str) -> RemoteEndpoint:
        if address or self._arrivals is None:
            return RemoteEndpoint(address, node, self._identity)
        return self._arrivals.endpoint(node)

    def _end(self, host: HostClient) -> None:
        task = asyncio.create_task(host.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # -- Sequence

    @overload
    def __getitem__(self, index: int) -> ShardHost: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ShardHost]: ...

    def __getitem__(self, index: int | slice) -> ShardHost | Sequence[ShardHost]:
        return self._hosts[index]

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[ShardHost]:
        return iter(self._hosts)
