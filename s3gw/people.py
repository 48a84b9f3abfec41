"""Accounts as answers name them: canonical id and display name."""

from __future__ import annotations

from cyxcloud.core.ids import AccountId
from cyxcloud.objects.acl import ANONYMOUS_ACCOUNT, ANONYMOUS_CANONICAL_ID
from cyxcloud.objects.store import Store
from s3gw.documents import Owner


def owner_named(store: Store, account: AccountId) -> Owner:
    """Whoever owns something has an account, which is never removed; but for what was written without a signature."""
    found = store.accounts.find(account)
    if found is None:
        return Owner(ANONYMOUS_CANONICAL_ID if account == ANONYMOUS_ACCOUNT else "", "")
    return Owner(found.canonical_id, found.display_name)


def person_named(store: Store, canonical_id: str) -> Owner:
    found = store.accounts.by_canonical_id(canonical_id)
    return Owner(canonical_id, "" if found is None else found.display_name)
