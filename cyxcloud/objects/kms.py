"""Named keys, for objects under SSE-KMS: an interface, and the keys that the store keeps itself.

A data key is wrapped under a named key as under the keyring's, so all bytes are encrypted alike. A named key's secret
is a row sealed by the keyring; each worker opens it at its first use and forgets it when the epoch of access moves, so
one that is disabled is refused everywhere within a second. Nothing ever removes a key. `aws/s3`, which objects get that
ask for SSE-KMS without saying which key, is made when it is first asked for; whoever dies meanwhile has made it or not.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from cyxcloud.core import keywrap
from cyxcloud.core.ids import BlobId
from cyxcloud.core.keyring import Keyring
from cyxcloud.core.keywrap import KEY_BYTES, Mode
from cyxcloud.meta import cluster, kms_keys
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import KmsKeyRow
from cyxcloud.objects.errors import KmsKeyDisabled, KmsKeyNotFound

DEFAULT_KEY = "aws/s3"
ENABLED, DISABLED = "enabled", "disabled"
KEY_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9/_.-]{0,254}")
# Keys in use at once by one worker; beyond this the kept ones are simply opened anew.
MAX_OPEN = 10_000


@dataclass(frozen=True, slots=True)
class KmsKey:
    """A named key that may be used; `number` stands in the rows of segments under it."""

    number: int
    name: str


class Kms(Protocol):
    """Each raises KmsKeyNotFound or KmsKeyDisabled. `wrap` and `unwrap` cost no call to anybody: an implementation that
    keeps its keys elsewhere opens them in `find`, or at the first `unwrap`, and holds them as the local one does."""

    async def find(self, name: str) -> KmsKey:
        """The key that new objects are to be under."""
        ...

    def wrap(self, key: int, blob: BlobId, dek: bytes) -> bytes: ...

    def unwrap(self, key: int, blob: BlobId, wrapped: bytes) -> bytes: ...

    def forget(self) -> None:
        """What was opened may have changed."""
        ...


class NoKeys:
    """For a store that neither reads nor writes objects under named keys."""

    async def find(self, name: str) -> KmsKey:
        raise KmsKeyNotFound(f"Invalid keyId '{name}'")

    def wrap(self, key: int, _blob: BlobId, _dek: bytes) -> bytes:
        raise KmsKeyNotFound(f"Key {key} does not exist")

    def unwrap(self, key: int, _blob: BlobId, _wrapped: bytes) -> bytes:
        raise KmsKeyNotFound(f"Key {key} does not exist")

    def forget(self) -> None:
        """There is nothing to forget."""


@dataclass(frozen=True, slots=True)
class _Open:
    key: KmsKey
    enabled: bool
    secret: bytes = field(repr=False)


Change = Callable[[Callable[[Connection], None]], Awaitable[None]]


class LocalKms:
    """The store's own named keys. `change` runs a transaction; `now_ms` is the store's time."""

    def __init__(self, reader: Connection, keyring: Keyring, change: Change, now_ms: Callable[[], int]) -> None:
        self._reader, self._keyring, self._change, self._now_ms = reader, keyring, change, now_ms
        self._by_name: dict[str, _Open] = {}
        self._by_number: dict[int, _Open] = {}

    async def find(self, name: str) -> KmsKey:
        found = self._by_name.get(name) or self._load(kms_keys.by_name(self._reader, name))
        if found is None and name == DEFAULT_KEY:
            found = await self._make_default()
        if found is None:
            raise KmsKeyNotFound(f"Invalid keyId '{name}'")
        return _usable(found).key

    def wrap(self, key: int, blob: BlobId, dek: bytes) -> bytes:
        return keywrap.wrap(self._secret(key), blob, Mode.SSE_KMS, dek)

    def unwrap(self, key: int, blob: BlobId, wrapped: bytes) -> bytes:
        return keywrap.unwrap(self._secret(key), blob, Mode.SSE_KMS, wrapped)

    def forget(self) -> None:
        self._by_name.clear()
        self._by_number.clear()

    def _secret(self, number: int) -> bytes:
        found = self._by_number.get(number) or self._load(kms_keys.read(self._reader, number))
        if found is None:
            raise KmsKeyNotFound(f"Key {number} does not exist")
        return _usable(found).secret

    def _load(self, row: KmsKeyRow | None) -> _Open | None:
        if row is None:
            return None
        if len(self._by_number) >= MAX_OPEN:
            self.forget()
        opened = _Open(KmsKey(row.number, row.name), row.state == ENABLED, open_secret(self._keyring, row))
        self._by_name[row.name] = self._by_number[row.number] = opened
        return opened

    async def _make_default(self) -> _Open | None:
        await self._change(lambda conn: ensure_key(conn, self._keyring, DEFAULT_KEY, self._now_ms()))
        return self._load(kms_keys.by_name(self._reader, DEFAULT_KEY))


def _usable(found: _Open) -> _Open:
    if not found.enabled:
        raise KmsKeyDisabled(found.key.name)
    return found


def ensure_key(conn: Connection, keyring: Keyring, name: str, now_ms: int, description: str = "") -> None:
    """In a transaction: the key of that name is there, made now where there was none. One there is stays as it is."""
    while kms_keys.by_name(conn, name) is None:
        number = kms_keys.next_number(conn)
        sealed = keyring.seal_secret(_owner(number, name), secrets.token_bytes(KEY_BYTES).hex())
        if kms_keys.create(conn, KmsKeyRow(number, name, ENABLED, now_ms, description, sealed)):
            cluster.bump(conn, Epoch.ACCESS)


def open_secret(keyring: Keyring, row: KmsKeyRow) -> bytes:
    return bytes.fromhex(keyring.open_secret(_owner(row.number, row.name), row.secret))


def _owner(number: int, name: str) -> str:
    """What a secret is sealed for; a space keeps it from ever being an access key's."""
    return f"kms key {number} {name}"
