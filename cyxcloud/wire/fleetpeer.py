"""Whom a client of the fleet's listener believes: not any holder of a certificate, the coordinator alone.

Without this a node with a certificate of its own could stand in for the fleet where it gets hold of a name or a route.
The role is looked at within the handshake, before the first byte is said.
"""

from __future__ import annotations

import ssl

from cyxcloud.core.certificates import Peer, Role, TlsIdentity, Untrusted, joining_context, peer_of


class _CoordinatorOnly(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        try:
            peer: Peer = peer_of(self)
        except Untrusted as error:
            raise ssl.SSLCertVerificationError(str(error)) from error
        if peer.role is not Role.COORDINATOR:
            raise ssl.SSLCertVerificationError(f"a {peer.role} answers in the coordinator's place")


def coordinator_context(identity: TlsIdentity) -> ssl.SSLContext:
    context = identity.client_context()
    context.sslobject_class = _CoordinatorOnly
    return context


def first_context(authority_pem: bytes) -> ssl.SSLContext:
    """For who has no certificate yet: a join token is a secret, and no other node may have it either."""
    context = joining_context(authority_pem)
    context.sslobject_class = _CoordinatorOnly
    return context
