"""Who is at the other end of a TLS connection: the fleet's own certificate authority and what it issues.

Every key is Ed25519 and everybody's id is the SHA-256 of the public half, a node's as well as a gateway's. Beside its
key a certificate says one thing: a URI `cyx://CLUSTER/ROLE/ID`, signed by the cluster's authority for a few days. Host
names play no part; who dials a node knows its id. The authority's own certificate follows from its seed and the
cluster id alone, so that every process with the seed makes the very same one, and a fingerprint of it can be pinned.
TLS 1.3 only (RFC 8446), both sides with certificates (X.509, RFC 5280; Ed25519 in it, RFC 8410).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import ssl
import tempfile
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cyxcloud.core.identity import PUBLIC_KEY_BYTES, is_small_order, node_id_of
from cyxcloud.core.ids import NODE_ID_BYTES, NodeId

CERTIFICATE_SECONDS = 7 * 86400
# Clocks may differ by this much: a certificate is good from a little before it was made.
SKEW_SECONDS = 300
_SCHEME = "cyx"
_FIRST_DAY = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_LAST_DAY = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


class Role(StrEnum):
    """What a certificate's holder is there for; what it may do follows from this alone."""

    GATEWAY = "gateway"
    COORDINATOR = "coordinator"
    MOVER = "mover"
    NODE = "node"


class Untrusted(Exception):
    """The other end is not who it should be; the text says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """`node_id` is the SHA-256 of the peer's public key, whatever its role."""

    cluster_id: bytes
    role: Role
    node_id: NodeId
    public_key: bytes


class Authority:
    """Issues certificates. `seed` is the 32 bytes of the CA's Ed25519 key from the keyring."""

    def __init__(self, seed: bytes, cluster_id: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._cluster_id = cluster_id
        self._own = self._certify_itself()

    @property
    def certificate(self) -> bytes:
        """PEM."""
        return self._own.public_bytes(Encoding.PEM)

    @property
    def fingerprint(self) -> bytes:
        return fingerprint(self.certificate)

    def issue(self, public_key: bytes, role: Role, now_ms: int, *, seconds: float = CERTIFICATE_SECONDS) -> bytes:
        """A certificate in PEM. ValueError for a key that proves nothing."""
        if len(public_key) != PUBLIC_KEY_BYTES or is_small_order(public_key):
            raise ValueError("not an Ed25519 key that proves anything")
        now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
        node_id = node_id_of(public_key)
        uri = f"{_SCHEME}://{self._cluster_id.hex()}/{role}/{node_id.hex()}"
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(f"{role} {node_id.hex()[:16]}"))
            .issuer_name(self._own.subject)
            .public_key(Ed25519PublicKey.from_public_bytes(public_key))
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(seconds=SKEW_SECONDS))
            .not_valid_after(now + dt.timedelta(seconds=seconds))
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_BOTH_ENDS, critical=False)
        )
        return builder.sign(self._key, None).public_bytes(Encoding.PEM)

    def _certify_itself(self) -> x509.Certificate:
        name = _name(f"CyxCloud {self._cluster_id.hex()}")
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(int.from_bytes(hashlib.sha256(self._cluster_id).digest()[:16]) | 1)
            .not_valid_before(_FIRST_DAY)
            .not_valid_after(_LAST_DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
        )
        return builder.sign(self._key, None)


@dataclass(frozen=True)
class TlsIdentity:
    """What one process shows, and whom it believes. Renewal gives another one; connections that stand keep the old."""

    authority_pem: bytes
    certificate_pem: bytes
    private_key: Ed25519PrivateKey

    @cached_property
    def expires_at_ms(self) -> int:
        return int(x509.load_pem_x509_certificate(self.certificate_pem).not_valid_after_utc.timestamp() * 1000)

    @cached_property
    def issued_at_ms(self) -> int:
        since = x509.load_pem_x509_certificate(self.certificate_pem).not_valid_before_utc
        return int((since.timestamp() + SKEW_SECONDS) * 1000)

    @property
    def node_id(self) -> NodeId:
        return node_id_of(self.private_key.public_key().public_bytes_raw())

    def server_context(self, *, demand_client: bool = True) -> ssl.SSLContext:
        """`demand_client` False also lets those in who have no certificate yet."""
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED if demand_client else ssl.CERT_OPTIONAL
        context.num_tickets = 0  # a session taken up again would not look at dates
        return context

    def client_context(self) -> ssl.SSLContext:
        context = self._context(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # it is the key that counts
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def renewed(self, certificate_pem: bytes) -> TlsIdentity:
        return replace(self, certificate_pem=certificate_pem)

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = _bare_context(protocol)
        context.load_verify_locations(cadata=self.authority_pem.decode())
        key = self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        # OpenSSL reads chains from files only; this one is readable by us alone and gone at once.
        descriptor, name = tempfile.mkstemp(prefix="cyx-tls-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.certificate_pem + key)
            context.load_cert_chain(name)
        finally:
            Path(name).unlink()
        return context


def joining_context(authority_pem: bytes) -> ssl.SSLContext:
    """For who has no certificate yet but knows the authority."""
    context = _bare_context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority_pem.decode())
    return context


def peer_of(connection: ssl.SSLObject | ssl.SSLSocket) -> Peer:
    """After the handshake, which has checked the signature and the dates. Raises Untrusted."""
    der = connection.getpeercert(binary_form=True)
    if der is None:
        raise Untrusted("no certificate was shown")
    return parse_peer(der)


def parse_peer(der: bytes) -> Peer:
    """What a certificate says of its holder. Raises Untrusted where it says nothing that we know."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        key = certificate.public_key()
        scheme, _, rest = uri.partition("://")
        cluster, role, node_id = rest.split("/")
        found = Peer(bytes.fromhex(cluster), Role(role), NodeId(bytes.fromhex(node_id)), _raw(key))
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Untrusted(f"a certificate of another kind: {error}") from error
    if scheme != _SCHEME or len(found.node_id) != NODE_ID_BYTES or node_id_of(found.public_key) != found.node_id:
        raise Untrusted("a certificate that contradicts itself")
    return found


def fingerprint(certificate_pem: bytes) -> bytes:
    """SHA-256 of the certificate's DER."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate_pem.decode())).digest()


def _raw(key: object) -> bytes:
    if not isinstance(key, Ed25519PublicKey) or is_small_order(key.public_bytes_raw()):
        raise Untrusted("a key that proves nothing")
    return key.public_bytes_raw()


def _bare_context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


_BOTH_ENDS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
