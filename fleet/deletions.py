"""Removes bytes that nothing refers to: orders signed by the coordinator, sent to each node once a batch.

What is due are the blobs without references and the strays, shards on nodes where no chunk row places them. An order is
written down before it is sent, in the transaction that forgets the blobs, or that looks once more whether each stray is
still one. So a crash after it leaves orders without a receipt, which are sent again; a crash before it leaves all as it
was. Carrying out an order twice changes nothing. A node that is away gets its orders when it is back; the receipt is
kept with the order as evidence. After a restore nothing goes before an operator has confirmed it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.ids import NodeId, NodeNumber, PlacementId, ShardId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import blobs, cluster, deletions, nodes, orders, placements, strays
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import DOWN, GONE, ClusterRow, DeleteOrder, DueBlob, NodeRow, StrayRow
from cyxcloud.meta.writer import Writer
from cyxcloud.wire.orders import (
    MAX_ORDER_SHARDS,
    Order,
    decode_receipt,
    encode_order,
    order_hash,
    receipt_signed_by,
    sign_order,
)
from cyxcloud.wire.shardhost import DeleteAnswer, ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable, WireError
from fleet.nodekeys import NodeKeys
from fleet.storeclock import CoordinatorClock
from fleet.trash import Early, Trash

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
BATCH_BLOBS = 100
# Of one node in one transaction, each looked up once more: a few milliseconds.
BATCH_STRAYS = 500
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


@dataclass(slots=True)
class _Orders:
    """Those of one transaction."""

    conn: Connection
    signer: Signer
    now_ms: int
    made: list[DeleteOrder] = field(default_factory=list)
    _next: dict[NodeNumber, int] = field(default_factory=dict)

    def add(self, node: NodeRow, shards: Sequence[ShardId]) -> int:
        """One order; gives its sequence."""
        sequence = self._next.get(node.number) or orders.next_sequence(self.conn, node.number)
        self._next[node.number] = sequence + 1
        self.made.append(self.signer.order(node.number, node.node_id, sequence, shards, self.now_ms))
        return sequence


class Deletions:
    name = "deletions"

    def __init__(
        self,
        hosts: Sequence[ShardHost],
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        signer: Signer,
        *,
        trash: Trash | None = None,
    ) -> None:
        self._hosts, self._reader, self._writer, self._clock, self._signer = hosts, reader, writer, clock, signer
        self._keys = NodeKeys()
        self._trash = trash

    async def step(self, now: float) -> Did | Idle:
        sent = await self._send_waiting()
        early = None if self._trash is None else self._trash.early(self._reader)
        if self._has_due(early):
            ordered, given_back = await self._writer.submit(lambda conn: self._order(conn, early), is_long=True)
            if self._trash is not None:
                self._trash.ordered(given_back)
            if ordered:
                await self._send_waiting()
                return Did(ordered, "deleting")
        if sent:
            return Did(sent, "delivering delete orders")
        return Idle(now + LOOK_SECONDS)

    def _has_due(self, early: Early | None) -> bool:
        known, now_ms = cluster.read(self._reader), self._clock.now_ms()
        if known is None or not known.adopted:
            return False
        if early is not None and _early_blobs(self._reader, now_ms, early, 1):
            return True
        return bool(deletions.due(self._reader, now_ms, 1)) or any(
            strays.due(self._reader, row.number, _strays_until(row, now_ms, early), 1)
            for row in nodes.read_all(self._reader)
            if row.state != GONE
        )

    def _order(self, conn: Connection, early: Early | None) -> tuple[int, int]:
        """Everything is looked at anew, since the mover may have moved chunks meanwhile. How much was ordered, and the
        bytes of what was ordered before it was due."""
        known = cluster.read(conn)
        if known is None or not known.adopted:
            return 0, 0
        lists = placements.read_all(conn)
        members = {row.id: row.nodes for row in lists}
        successors = {row.id: row.successor for row in lists if row.successor is not None}
        present = {row.number: row for row in nodes.read_all(conn) if row.state != GONE}
        book = _Orders(conn, self._signer, self._clock.now_ms())
        due = deletions.due(conn, book.now_ms, BATCH_BLOBS)
        hurried: list[DueBlob] = []
        if early is not None and not due:
            hurried = _on_nodes(_early_blobs(conn, book.now_ms, early, BATCH_BLOBS), members, early)
            due = hurried
        for number, shards in sorted(shards_by_node(due, members, successors).items()):
            for at in range(0, len(shards) if number in present else 0, MAX_ORDER_SHARDS):
                book.add(present[number], shards[at : at + MAX_ORDER_SHARDS])
        deletions.remove(conn, [each.blob for each in due])
        found = sum(
            _order_strays(conn, row, members, book, _strays_until(row, book.now_ms, early)) for row in present.values()
        )
        orders.add(conn, book.made)
        return len(due) + found, sum(each.size for each in hurried)

    async def _send_waiting(self) -> int:
        """Orders without a receipt, to the nodes whose hosts answer."""
        sent = 0
        for row in nodes.read_all(self._reader):
            host = next((each for each in self._hosts if row.node_id in each.nodes and each.connected), None)
            if host is None or row.state in {DOWN, GONE}:
                continue
            for order in orders.unsettled(self._reader, row.number):
                if not await self._send(host, row, order):
                    break
                sent += 1
        return sent

    async def _send(self, host: ShardHost, row: NodeRow, order: DeleteOrder) -> bool:
        if order.expires_at_ms <= self._clock.now_ms():
            await self._give_up(order)
            return True
        try:
            answer = await host.delete(order.body, order.signature)
            problem = self._doubt(row, order, answer)
        except (HostUnavailable, HostRefused, WireError) as error:
            problem = str(error)
        if problem:
            log.warning("delete order not carried out", node=order.node, sequence=order.sequence, reason=problem)
            return False
        await self._settle(order, answer.receipt, answer.signature)
        return True

    def _doubt(self, row: NodeRow, order: DeleteOrder, answer: DeleteAnswer) -> str:
        """Why this receipt proves nothing; empty where it does."""
        receipt = decode_receipt(answer.receipt)
        if receipt.order_hash != order_hash(order.body) or receipt.node_id != row.node_id:
            return "a receipt for another order"
        key = self._keys.of(row)
        if key is not None and not receipt_signed_by(key, answer.receipt, answer.signature):
            return "the receipt is not signed by the node"
        return ""

    async def _settle(self, order: DeleteOrder, receipt: bytes, signature: bytes) -> None:
        now_ms = self._clock.now_ms()

        def settle(conn: Connection) -> None:
            orders.settle(conn, order.node, order.sequence, receipt=receipt, receipt_signature=signature, now_ms=now_ms)
            strays.set_settled(conn, order.node, order.sequence)

        await self._writer.submit(settle)

    async def _give_up(self, order: DeleteOrder) -> None:
        """The node was away for longer than the order is good: its strays are ordered anew, and what else it named is
        unreferenced and found by the reconciler."""
        now_ms = self._clock.now_ms()

        def give_up(conn: Connection) -> None:
            orders.settle(conn, order.node, order.sequence, receipt=b"", receipt_signature=b"", now_ms=now_ms)
            strays.set_unordered(conn, order.node, order.sequence)

        await self._writer.submit(give_up)


def _early_blobs(conn: Connection, now_ms: int, early: Early, limit: int) -> list[DueBlob]:
    return deletions.due_early(
        conn,
        now_ms,
        removed_before_ms=early.removed_before_ms,
        due_before_ms=early.due_before_ms,
        limit=limit,
    )


def _on_nodes(
    blobs_found: Iterable[DueBlob], members: Mapping[PlacementId, Sequence[NodeNumber]], early: Early
) -> list[DueBlob]:
    """The oldest of those that have shards on the nodes that lack room, as many as give back what is wanted."""
    found: list[DueBlob] = []
    wanted = early.wanted_bytes
    for each in blobs_found:
        if wanted > 0 and any(early.nodes.intersection(members[chunk.placement]) for chunk in each.chunks):
            found.append(each)
            wanted -= each.size
    return found


def _strays_until(row: NodeRow, now_ms: int, early: Early | None) -> int:
    """Strays of this node that fall due up to here may go."""
    return now_ms if early is None or row.number not in early.nodes else max(now_ms, early.due_before_ms)


def _order_strays(
    conn: Connection,
    row: NodeRow,
    members: Mapping[PlacementId, Sequence[NodeNumber]],
    book: _Orders,
    until_ms: int,
) -> int:
    """One order for the strays of a node that are due; those whose home it has become again are none any more."""
    due = strays.due(conn, row.number, until_ms, BATCH_STRAYS)
    at_home = [each for each in due if is_at_home(conn, each, members)]
    strays.remove(conn, at_home)
    left = [each for each in due if each not in at_home]
    if left:
        sequence = book.add(row, [ShardId(each.blob, each.chunk, each.shard_index) for each in left])
        strays.set_ordered(conn, left, sequence)
    return len(due)


def is_at_home(conn: Connection, row: StrayRow, members: Mapping[PlacementId, Sequence[NodeNumber]]) -> bool:
    """Whether a chunk row places this shard on this node."""
    chunk = blobs.chunk_of(conn, row.blob, row.chunk)
    return chunk is not None and members[chunk.placement][row.shard_index] == row.node


def shards_by_node(
    due: Iterable[DueBlob],
    members: Mapping[PlacementId, Sequence[NodeNumber]],
    successors: Mapping[PlacementId, PlacementId],
) -> dict[NodeNumber, list[ShardId]]:
    """Also for the nodes of a placement's successors: the mover may have put shards there and not have come further."""
    found: defaultdict[NodeNumber, list[ShardId]] = defaultdict(list)
    for blob in due:
        for chunk in blob.chunks:
            for index, numbers in enumerate(_homes(chunk.placement, members, successors)):
                for node in numbers:
                    found[node].append(ShardId(blob.blob, chunk.n, index))
    return dict(found)


def _homes(
    placement: PlacementId,
    members: Mapping[PlacementId, Sequence[NodeNumber]],
    successors: Mapping[PlacementId, PlacementId],
) -> list[set[NodeNumber]]:
    """By shard, every node that it may lie on."""
    homes = [{number} for number in members[placement]]
    while (successor := successors.get(placement)) is not None:
        placement = successor
        for numbers, number in zip(homes, members[placement], strict=True):
            numbers.add(number)
    return homes
