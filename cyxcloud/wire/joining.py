"""How a node joins a fleet: the token that its operator was given, and the two messages (pure).

The token holds a secret, good once, and the SHA-256 of the fleet's own certificate: the node fetches that certificate
from whoever answers, believes it only if the hash agrees, and says nothing before. The request proves that the node
holds the private key it wants certified, for this token and this moment. Both messages are JSON; bytes are hex.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from cyxcloud.core.identity import NodeIdentity, verify
from cyxcloud.wire.status import WireError

AUTHORITY_PATH, JOIN_PATH, RENEW_PATH, DENIED_PATH = "/v1/authority", "/v1/join", "/v1/renew", "/v1/denied"
MAX_MESSAGE_BYTES = 16 * 1024
_PREFIX = "cyxj_"
_SECRET_BYTES = 20
_PIN_BYTES = 32
_PROOF = b"cyxcloud join v1\x00"

T = TypeVar("T")


class BadToken(Exception):
    """Not a join token, or cut short."""


@dataclass(frozen=True, slots=True)
class JoinToken:
    """`pin`: the SHA-256 of the certificate of the fleet's authority."""

    secret: bytes
    pin: bytes

    @classmethod
    def generate(cls, pin: bytes) -> JoinToken:
        return cls(secrets.token_bytes(_SECRET_BYTES), pin)

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        body = text.strip()
        encoded = body.removeprefix(_PREFIX)
        try:
            data = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except ValueError:
            data = b""
        check, data = data[-2:], data[:-2]
        if not body.startswith(_PREFIX) or len(data) != _SECRET_BYTES + _PIN_BYTES or check != _check(data):
            raise BadToken("this is no join token, or not a whole one; copy it again")
        return cls(data[:_SECRET_BYTES], data[_SECRET_BYTES:])

    def text(self) -> str:
        data = self.secret + self.pin
        return _PREFIX + urlsafe_b64encode(data + _check(data)).decode().rstrip("=")

    @property
    def hash(self) -> bytes:
        return token_hash(self.secret)


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """`address` is HOST:PORT where the node serves shards, empty where it can only dial. `time_ms` is its clock."""

    secret: str
    public_key: str
    name: str
    address: str
    capacity_bytes: int
    zone: str
    operator: str
    region: str
    version: str
    time_ms: int
    proof: str


@dataclass(frozen=True, slots=True)
class JoinAnswer:
    cluster_id: str
    incarnation: str
    coordinator_public_key: str
    name: str
    certificate: str


@dataclass(frozen=True, slots=True)
class RenewAnswer:
    certificate: str


_REQUEST = TypeAdapter(JoinRequest)
_ANSWER = TypeAdapter(JoinAnswer)
_RENEWED = TypeAdapter(RenewAnswer)


def encode_request(request: JoinRequest) -> bytes:
    return _REQUEST.dump_json(request)


def encode_answer(answer: JoinAnswer) -> bytes:
    return _ANSWER.dump_json(answer)


def encode_renewed(answer: RenewAnswer) -> bytes:
    return _RENEWED.dump_json(answer)


def parse_request(data: bytes) -> JoinRequest:
    return _parsed(_REQUEST, data)


def parse_answer(data: bytes) -> JoinAnswer:
    return _parsed(_ANSWER, data)


def parse_renewed(data: bytes) -> RenewAnswer:
    return _parsed(_RENEWED, data)


def prove(identity: NodeIdentity, token: bytes, time_ms: int) -> bytes:
    """That the node holds its private key. `token` is the token's hash."""
    return identity.sign(_proven(token, time_ms))


def is_proven(public_key: bytes, token: bytes, time_ms: int, proof: bytes) -> bool:
    return verify(public_key, _proven(token, time_ms), proof)


def token_hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _proven(token: bytes, time_ms: int) -> bytes:
    return _PROOF + token + time_ms.to_bytes(8, "big", signed=True)


def _check(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:2]


def _parsed(adapter: TypeAdapter[T], data: bytes) -> T:
    try:
        return adapter.validate_json(data)
    except ValidationError as error:
        raise WireError(f"a message that is not understood: {error.errors()[0]['msg']}") from error
