"""The fleet's certificates: who is believed, and who is not."""

from __future__ import annotations

import ssl
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cyxcloud.core.certificates import Authority, Peer, Role, TlsIdentity, Untrusted, parse_peer, peer_of
from cyxcloud.core.identity import node_id_of

CLUSTER, OTHER = b"c" * 16, b"o" * 16
SEED = bytes(range(32))
NOW_MS = 1_790_000_000_000


def identity(authority: Authority, role: Role, now_ms: int | None = None) -> TlsIdentity:
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes_raw()
    return TlsIdentity(authority.certificate, authority.issue(raw, role, now_ms or _now_ms()), key)


def _now_ms() -> int:
    return int(time.time() * 1000)


def handshake(client: TlsIdentity, server: TlsIdentity) -> tuple[Peer, Peer]:
    """What each side thinks of the other; ssl.SSLError where they do not agree."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.client_context().wrap_bio(to_client, to_server, server_side=False)
    theirs = server.server_context().wrap_bio(to_server, to_client, server_side=True)
    ends = [ours, theirs]
    for _ in range(10):
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
    assert not ends
    return peer_of(ours), peer_of(theirs)


def test_authority_is_the_same_from_the_same_seed() -> None:
    assert Authority(SEED, CLUSTER).certificate == Authority(SEED, CLUSTER).certificate
    assert Authority(SEED, CLUSTER).fingerprint != Authority(SEED, OTHER).fingerprint
    assert Authority(SEED, CLUSTER).fingerprint != Authority(bytes(32), CLUSTER).fingerprint


def test_both_ends_know_each_other_after_the_handshake() -> None:
    authority = Authority(SEED, CLUSTER)
    gateway, node = identity(authority, Role.GATEWAY), identity(authority, Role.NODE)
    seen_by_client, seen_by_server = handshake(gateway, node)
    assert (seen_by_client.role, seen_by_client.node_id, seen_by_client.cluster_id) == (
        Role.NODE,
        node.node_id,
        CLUSTER,
    )
    assert (seen_by_server.role, seen_by_server.node_id) == (Role.GATEWAY, gateway.node_id)
    assert node_id_of(seen_by_server.public_key) == gateway.node_id


def test_certificate_of_another_authority_is_refused() -> None:
    stranger = identity(Authority(bytes(32), CLUSTER), Role.GATEWAY)
    with pytest.raises(ssl.SSLError):
        handshake(stranger, identity(Authority(SEED, CLUSTER), Role.NODE))
    with pytest.raises(ssl.SSLError):
        handshake(identity(Authority(SEED, CLUSTER), Role.GATEWAY), stranger)


@pytest.mark.parametrize("at_ms", [NOW_MS - 400 * 86_400_000, NOW_MS + 4000 * 86_400_000])
def test_certificate_outside_its_time_is_refused(at_ms: int) -> None:
    authority = Authority(SEED, CLUSTER)
    with pytest.raises(ssl.SSLError):
        handshake(identity(authority, Role.GATEWAY, at_ms), identity(authority, Role.NODE))


def test_certificate_that_says_nothing_of_a_role_is_untrusted() -> None:
    der = ssl.PEM_cert_to_DER_cert(Authority(SEED, CLUSTER).certificate.decode())
    with pytest.raises(Untrusted):
        parse_peer(der)


@pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"short"])
def test_key_that_proves_nothing_gets_no_certificate(key: bytes) -> None:
    with pytest.raises(ValueError, match="proves"):
        Authority(SEED, CLUSTER).issue(key, Role.NODE, NOW_MS)


def test_renewed_identity_lasts_longer() -> None:
    authority = Authority(SEED, CLUSTER)
    first = identity(authority, Role.NODE)
    later = authority.issue(first.private_key.public_key().public_bytes_raw(), Role.NODE, _now_ms() + 86_400_000)
    assert first.renewed(later).expires_at_ms > first.expires_at_ms
    assert first.renewed(later).node_id == first.node_id


def test_no_session_is_taken_up_again() -> None:
    """A connection that begins with an old session shows no certificate: nobody would see that it has ended."""
    authority = Authority(SEED, CLUSTER)
    for demand in (True, False):
        assert identity(authority, Role.NODE).server_context(demand_client=demand).num_tickets == 0
