"""Finding content by its name. A CID grants nothing: only the account that stored the content can ask for it."""

from __future__ import annotations

from cyxcloud.core.ids import AccountId
from cyxcloud.meta import segments, versions
from cyxcloud.objects.store import Store
from cyxcloud.shards import cid


def layout_of(store: Store, account: AccountId, text: str) -> str | None:
    """The sizes of the segments that the CID names, run-length coded; None for what the account does not have."""
    try:
        binary = cid.parse_cid(text)
    except ValueError:
        return None
    found = versions.by_content(store.reader, account, binary)
    if not found:
        return None
    return cid.format_layout([segment.length for segment in segments.of(store.reader, found[0])])
