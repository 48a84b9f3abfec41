"""Finding content by its name. A CID grants nothing: only the account that stored the content can ask for it, and what
lies under a customer's key is not known without that key."""

from __future__ import annotations

from cyxcloud.core.ids import AccountId
from cyxcloud.core.keywrap import Mode
from cyxcloud.meta import segments, versions
from cyxcloud.objects.store import Store
from cyxcloud.shards import cid

# Copies of the same content have the same layout; more are looked at only for one that is not a customer's.
LOOKED_AT = 16


def layout_of(store: Store, account: AccountId, text: str) -> str | None:
    """The sizes of the segments that the CID names, run-length coded; None for what the account does not have."""
    try:
        binary = cid.parse_cid(text)
    except ValueError:
        return None
    found = versions.by_content(store.reader, account, binary, LOOKED_AT)
    for version in found:
        made_of = segments.of(store.reader, version)
        if all(segment.mode != Mode.SSE_C for segment in made_of):
            return cid.format_layout([segment.length for segment in made_of])
    return None
