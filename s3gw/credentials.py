"""Access keys as the gateway knows them: read and opened once, forgotten when the epoch of access moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cyxcloud.meta import accounts
from cyxcloud.meta.connection import Connection
from cyxcloud.objects.principal import Principal

# Keys in use at once by one worker; beyond this the cache is simply started anew.
MAX_CACHED_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Credential:
    secret: str = field(repr=False)
    principal: Principal


class Credentials:
    def __init__(self, reader: Connection, open_secret: Callable[[str, bytes], str]) -> None:
        self._reader = reader
        self._open_secret = open_secret
        self._known: dict[str, Credential] = {}

    def find(self, access_key: str) -> Credential | None:
        """None for a key that is unknown or disabled. Only found keys are kept, so a new one works at once."""
        known = self._known.get(access_key)
        return known if known is not None else self._load(access_key)

    def forget(self) -> None:
        self._known.clear()

    def _load(self, access_key: str) -> Credential | None:
        found = accounts.credentials(self._reader, access_key)
        if found is None or not found[0].enabled:
            return None
        key, account = found
        principal = Principal(account.id, account.canonical_id, account.display_name, access_key)
        if len(self._known) >= MAX_CACHED_KEYS:
            self._known.clear()
        credential = Credential(self._open_secret(access_key, key.secret), principal)
        self._known[access_key] = credential
        return credential
