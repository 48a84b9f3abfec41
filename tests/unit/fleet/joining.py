"""The fleet's door for unit tests: an enrolment, tokens for it, and those who come."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.certificates import Authority, Peer, Role
from cyxcloud.core.identity import NodeIdentity
from cyxcloud.core.settings import FleetSettings
from cyxcloud.meta import join_tokens, nodes
from cyxcloud.meta.join_tokens import JoinTokenRow
from cyxcloud.meta.rows import NodeRow
from cyxcloud.wire.joining import JoinRequest, JoinToken, prove
from fleet.enrolment import Enrolment
from tests.unit.fleet.conftest import CLUSTER, Fleet

TOKEN_SECONDS = 1000


@dataclass(slots=True)
class Door:
    fleet: Fleet
    enrolment: Enrolment

    @classmethod
    def of(cls, fleet: Fleet, settings: FleetSettings | None = None, founders: int = 5) -> Door:
        """The fleet's four local nodes are trusted: with five founders one more is."""
        enrolment = Enrolment(
            authority=Authority(bytes(range(32)), CLUSTER.cluster_id),
            known=CLUSTER,
            coordinator_key=Ed25519PrivateKey.from_private_bytes(bytes(32)),
            reader=fleet.reader,
            writer=fleet.writer,
            clock=fleet.store_clock,
            system=fleet.clock,
            settings=settings or FleetSettings(),
            founders=founders,
        )
        return cls(fleet, enrolment)

    def token(self, zone: str = "", operator: str = "", region: str = "") -> JoinToken:
        token = JoinToken.generate(self.enrolment.authority.fingerprint)
        now_ms = self.fleet.store_clock.now_ms()
        row = JoinTokenRow(token.hash, zone, operator, region, now_ms, now_ms + TOKEN_SECONDS * 1000)
        self.fleet.writer.call(lambda conn: join_tokens.add(conn, row))
        return token

    def request(self, token: JoinToken, identity: NodeIdentity, **changes: object) -> JoinRequest:
        time_ms = self.fleet.clock.now_ms()
        request = JoinRequest(
            secret=token.secret.hex(),
            public_key=identity.public_key.hex(),
            name="box",
            address="192.0.2.1:4001",
            capacity_bytes=10**12,
            zone="cellar",
            operator="alice",
            region="eu",
            version="0.1.0",
            time_ms=time_ms,
            proof=prove(identity, token.hash, time_ms).hex(),
        )
        return replace(request, **changes)  # type: ignore[arg-type]

    def row(self, identity: NodeIdentity) -> NodeRow | None:
        return next((row for row in nodes.read_all(self.fleet.reader) if row.node_id == identity.node_id), None)


def peer(identity: NodeIdentity, role: Role = Role.NODE, cluster_id: bytes = CLUSTER.cluster_id) -> Peer:
    return Peer(cluster_id, role, identity.node_id, identity.public_key)
