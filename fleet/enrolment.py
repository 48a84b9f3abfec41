"""Lets nodes of other boxes in: one for each token, with a certificate for the key that it proves to hold.

A join is one transaction: the token is used up and the node has its row, or neither. Its answer may be lost, so the
same key with the same token is given the same answer again, and a certificate made anew; another key with that token
is refused. A node that was away until its certificate had ended comes back with a new token and its old key. What is
refused says why, but never whether a token that does not exist once did.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.certificates import Authority, Peer, Role
from cyxcloud.core.clock import Clock
from cyxcloud.core.identity import PUBLIC_KEY_BYTES, is_small_order, node_id_of
from cyxcloud.core.ids import NodeId, NodeNumber
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta import cluster, denials, join_tokens, node_events, nodes
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.join_tokens import JoinTokenRow
from cyxcloud.meta.rows import DISQUALIFIED, DOWN, GONE, TRUSTED, VETTING, ClusterRow, NodeRow
from cyxcloud.meta.writer import Writer
from cyxcloud.wire.joining import JoinAnswer, JoinRequest, is_proven, token_hash
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

MAX_NAME = 63
MAX_PORT = 1 << 16
MAX_CAPACITY = 1 << 60
JOINED, JOINED_AGAIN = "joined", "joined again"
_WORD = re.compile(rf"[A-Za-z0-9._-]{{0,{MAX_NAME}}}")
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]")  # a node's folder takes no others
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")
_UNKNOWN = "this token is not known here; ask for a new one: cyxcloud node token"


class Refused(Exception):
    """The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    authority: Authority
    known: ClusterRow
    coordinator_key: Ed25519PrivateKey
    reader: Connection
    writer: Writer
    clock: CoordinatorClock
    system: Clock
    settings: FleetSettings
    founders: int
    """So many nodes are trusted as they come, since no chunk can be held without them; later ones are vetted."""

    async def join(self, request: JoinRequest) -> JoinAnswer:
        """Raises Refused."""
        _check_words(request)
        token, public_key = _token_and_key(request)
        self._check_clock(request.time_ms)
        if join_tokens.read(self.reader, token) is None:  # strangers do not take the writer's turns
            raise Refused(_UNKNOWN)
        if not is_proven(public_key, token, request.time_ms, _hex(request.proof)):
            raise Refused("the request is not signed by the key that it wants certified")
        now_ms = self.clock.now_ms()
        row = await self.writer.submit(lambda conn: self._admit(conn, request, token, public_key, now_ms))
        log.warning("node joined", node=row.name, node_id=row.node_id.hex(), address=row.address, zone=row.zone)
        return JoinAnswer(
            cluster_id=self.known.cluster_id.hex(),
            incarnation=self.known.incarnation.hex(),
            coordinator_public_key=self.coordinator_key.public_key().public_bytes_raw().hex(),
            name=row.name,
            certificate=self._certify(public_key, Role.NODE),
        )

    def renew(self, peer: Peer) -> str:
        """A certificate (PEM) for a node that still has one. Raises Refused."""
        if peer.role is not Role.NODE or peer.cluster_id != self.known.cluster_id:
            raise Refused("only a node of this fleet renews here")
        row = next((row for row in nodes.read_all(self.reader) if row.node_id == peer.node_id), None)
        if row is None or row.state == GONE or row.standing == DISQUALIFIED:
            raise Refused("this node is no longer one of the fleet")
        if peer.node_id in denials.read_all(self.reader):
            raise Refused("this node's key is denied")
        return self._certify(peer.public_key, Role.NODE)

    def certify(self, public_key: bytes, role: Role) -> str:
        """For a process of this store, which asked over the socket that only its user may open."""
        return self._certify(public_key, role)

    def _certify(self, public_key: bytes, role: Role) -> str:
        seconds = self.settings.certificate_lifetime
        return self.authority.issue(public_key, role, self.system.now_ms(), seconds=seconds).decode()

    def _check_clock(self, time_ms: int) -> None:
        off = (time_ms - self.system.now_ms()) / 1000
        if abs(off) > self.settings.clock_skew:
            side = "ahead of" if off > 0 else "behind"
            raise Refused(f"this box's clock is {abs(off):.0f} s {side} the fleet's; set it by NTP and join again")

    def _admit(self, conn: Connection, request: JoinRequest, token: bytes, public_key: bytes, now_ms: int) -> NodeRow:
        found = join_tokens.read(conn, token)
        if found is None:
            raise Refused(_UNKNOWN)
        rows, node_id = nodes.read_all(conn), node_id_of(public_key)
        mine = next((row for row in rows if row.node_id == node_id), None)
        if node_id in denials.read_all(conn):
            raise Refused("this key is denied; a new node has a key of its own")
        if found.used_at_ms is not None:
            if mine is None or mine.number != found.node:
                raise Refused("this token was used by another node; each joins with one of its own")
            return _again(conn, mine, request)
        if now_ms > found.expires_at_ms:
            raise Refused("this token has expired; ask for a new one: cyxcloud node token")
        if mine is not None:  # it was away for so long that its certificate has ended
            row = _again(conn, mine, request)
        else:
            row = self._new_row(request, found, public_key, rows, now_ms)
            nodes.upsert(conn, row)
        kind, version = JOINED if mine is None else JOINED_AGAIN, request.version[:MAX_NAME]
        said = {"name": row.name, "address": row.address, "standing": row.standing, "version": version}
        node_events.record(conn, row.number, now_ms, kind, said)
        assert join_tokens.use(conn, token, row.number, now_ms), "it was free in this transaction"
        cluster.bump(conn, Epoch.TOPOLOGY)
        return row

    def _new_row(
        self, request: JoinRequest, token: JoinTokenRow, public_key: bytes, rows: Sequence[NodeRow], now_ms: int
    ) -> NodeRow:
        node_id = node_id_of(public_key)
        host = request.address.rpartition(":")[0].strip("[]") or node_id.hex()[:16]
        trusted = sum(row.state != GONE and row.standing == TRUSTED for row in rows)
        return NodeRow(
            number=NodeNumber(max((row.number for row in rows), default=0) + 1),
            node_id=node_id,
            name=_name(request.name, node_id, rows),
            endpoint=f"tls://{request.address}" if request.address else "tls:dials",
            host=host,
            disk=node_id.hex(),
            zone=token.zone or request.zone,
            operator=token.operator or request.operator,
            state=DOWN,
            reason="has not reported yet",
            total_bytes=request.capacity_bytes,
            used_bytes=0,
            free_bytes=0,
            shard_count=0,
            seen_at_ms=now_ms,
            joined_at_ms=now_ms,
            since_ms=now_ms,
            address=request.address,
            region=token.region or request.region,
            public_key=public_key,
            standing=VETTING if self.settings.vetting and trusted >= self.founders else TRUSTED,
        )


def _token_and_key(request: JoinRequest) -> tuple[bytes, bytes]:
    public_key = _hex(request.public_key)
    if len(public_key) != PUBLIC_KEY_BYTES or is_small_order(public_key):
        raise Refused("the key is no Ed25519 key that proves anything")
    return token_hash(_hex(request.secret)), public_key


def _again(conn: Connection, row: NodeRow, request: JoinRequest) -> NodeRow:
    """The answer was lost, the node was away for long, or it has another address now."""
    if row.state == GONE or row.standing == DISQUALIFIED:
        raise Refused("this node has left the fleet; ask for a new token: cyxcloud node token")
    if row.address != request.address:
        nodes.set_address(conn, row.number, request.address)
        cluster.bump(conn, Epoch.TOPOLOGY)
    return replace(row, address=request.address)


def _name(wanted: str, node_id: NodeId, rows: Sequence[NodeRow]) -> str:
    """As the node wants to be called, or with a piece of its id where that name is taken."""
    kept = _NO_NAME.sub("-", wanted)[: MAX_NAME - 9].strip("._-")
    name = kept or "node"
    if kept and name not in {row.name for row in rows}:
        return name
    return f"{name}-{node_id.hex()[:8]}"


def _check_words(request: JoinRequest) -> None:
    """What a stranger says of itself is shown to operators and dialled by gateways."""
    for name, said in (("zone", request.zone), ("operator", request.operator), ("region", request.region)):
        if not _WORD.fullmatch(said):
            raise Refused(f"{name}: {said[:MAX_NAME]!r} is not at most {MAX_NAME} of A-Z a-z 0-9 . _ -")
    host, colon, port = request.address.rpartition(":")
    dialled = bool(_HOST.fullmatch(host)) and port.isdecimal() and 0 < int(port[:6]) < MAX_PORT
    if request.address and not (colon and dialled):
        raise Refused(f"{request.address[:MAX_NAME]!r} is no HOST:PORT by which this node can be reached")
    if not 0 <= request.capacity_bytes < MAX_CAPACITY:
        raise Refused("the capacity is no number of bytes that a node can have")


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Refused("the request is malformed") from error
