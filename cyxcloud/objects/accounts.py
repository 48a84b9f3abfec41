"""Accounts as answers name them. Rows change hardly ever, so they are kept until the epoch of access moves."""

from __future__ import annotations

from cyxcloud.core.ids import AccountId
from cyxcloud.meta import accounts
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import AccountRow

MAX_KEPT = 10_000


class Accounts:
    def __init__(self, reader: Connection) -> None:
        self._reader = reader
        self._kept: dict[AccountId, AccountRow] = {}

    def find(self, account: AccountId) -> AccountRow | None:
        kept = self._kept.get(account)
        if kept is None:
            kept = accounts.read(self._reader, account)
            if kept is not None:
                if len(self._kept) >= MAX_KEPT:
                    self._kept.clear()
                self._kept[account] = kept
        return kept

    def by_canonical_id(self, canonical_id: str) -> AccountRow | None:
        return accounts.by_canonical_id(self._reader, canonical_id)

    def by_email(self, email: str) -> list[AccountRow]:
        return accounts.by_email(self._reader, email)

    def forget(self) -> None:
        self._kept.clear()
