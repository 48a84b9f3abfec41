"""Removes the bytes of blobs that nothing refers to: orders signed by the coordinator, sent to each node once a batch.

An order is written down before it is sent, in the transaction that forgets the blobs. So a crash after it leaves orders
without a receipt, which are sent again; a crash before it leaves the blobs queued. Carrying out an order twice changes
nothing. A node that is away gets its orders when it is back; the receipt is kept with the order as evidence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.ids import NodeId, NodeNumber, PlacementId, ShardId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import deletions, nodes, orders, placements
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import ClusterRow, DeleteOrder, DueBlob
from cyxcloud.meta.writer import Writer
from cyxcloud.wire.orders import MAX_ORDER_SHARDS, Order, decode_receipt, encode_order, order_hash, sign_order
from cyxcloud.wire.shardhost import ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable, WireError
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
BATCH_BLOBS = 100
# A node may be away for long; the order only says what has long been nobody's.
ORDER_MS = 30 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Signer:
    key: Ed25519PrivateKey
    cluster: ClusterRow

    def order(
        self, node: NodeNumber, node_id: NodeId, sequence: int, shards: Sequence[ShardId], now_ms: int
    ) -> DeleteOrder:
        expires_ms = now_ms + ORDER_MS
        body = encode_order(
            Order(
                self.cluster.cluster_id, self.cluster.incarnation, node_id, tuple(shards), now_ms, expires_ms, sequence
            )
        )
        return DeleteOrder(node, sequence, now_ms, expires_ms, body, sign_order(self.key, body))


class Deletions:
    name = "deletions"

    def __init__(
        self,
        hosts: Sequence[ShardHost],
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        signer: Signer,
    ) -> None:
        self._hosts, self._reader, self._writer, self._clock, self._signer = hosts, reader, writer, clock, signer

    async def step(self, now: float) -> Did | Idle:
        sent = await self._send_waiting()
        due = deletions.due(self._reader, self._clock.now_ms(), BATCH_BLOBS)
        if due:
            await self._writer.submit(lambda conn: self._order(conn, due))
            await self._send_waiting()
            return Did(len(due), "deleting")
        if sent:
            return Did(sent, "delivering delete orders")
        return Idle(now + LOOK_SECONDS)

    def _order(self, conn: Connection, due: Sequence[DueBlob]) -> None:
        members = {row.id: row.nodes for row in placements.read_all(conn)}
        ids = {row.number: row.node_id for row in nodes.read_all(conn)}
        now_ms = self._clock.now_ms()
        made: list[DeleteOrder] = []
        for node, shards in sorted(shards_by_node(due, members).items()):
            sequence = orders.next_sequence(conn, node)
            for at in range(0, len(shards), MAX_ORDER_SHARDS):
                some = shards[at : at + MAX_ORDER_SHARDS]
                made.append(self._signer.order(node, ids[node], sequence, some, now_ms))
                sequence += 1
        orders.add(conn, made)
        deletions.remove(conn, [each.blob for each in due])

    async def _send_waiting(self) -> int:
        """Orders without a receipt, to the nodes whose hosts answer."""
        sent = 0
        for row in nodes.read_all(self._reader):
            host = next((each for each in self._hosts if row.node_id in each.nodes and each.connected), None)
            if host is None or row.state == "down":
                continue
            for order in orders.unsettled(self._reader, row.number):
                if not await self._send(host, order):
                    break
                sent += 1
        return sent

    async def _send(self, host: ShardHost, order: DeleteOrder) -> bool:
        try:
            answer = await host.delete(order.body, order.signature)
            receipt = decode_receipt(answer.receipt)
        except (HostUnavailable, HostRefused, WireError) as error:
            log.warning("delete order not carried out", node=order.node, sequence=order.sequence, reason=str(error))
            return False
        if receipt.order_hash != order_hash(order.body):
            log.warning("a receipt for another order", node=order.node, sequence=order.sequence)
            return False
        now_ms = self._clock.now_ms()
        await self._writer.submit(
            lambda conn: orders.settle(
                conn,
                order.node,
                order.sequence,
                receipt=answer.receipt,
                receipt_signature=answer.signature,
                now_ms=now_ms,
            )
        )
        return True


def shards_by_node(
    due: Iterable[DueBlob], members: Mapping[PlacementId, Sequence[NodeNumber]]
) -> dict[NodeNumber, list[ShardId]]:
    found: defaultdict[NodeNumber, list[ShardId]] = defaultdict(list)
    for blob in due:
        for chunk in blob.chunks:
            for index, node in enumerate(members[chunk.placement]):
                found[node].append(ShardId(blob.blob, chunk.n, index))
    return dict(found)
