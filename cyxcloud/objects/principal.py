"""Who asks (pure). An API key, and later a token or a share link, becomes one of these at the door."""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.core.ids import AccountId


@dataclass(frozen=True, slots=True)
class Principal:
    """`account` is None for nobody in particular (an unsigned request)."""

    account: AccountId | None
    canonical_id: str = ""
    display_name: str = ""
    access_key: str = ""


ANONYMOUS = Principal(None)
