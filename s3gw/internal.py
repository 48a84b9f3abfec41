"""What is not S3 on the S3 port: `/-/healthz`, and `/-/layout/CID` for layouts too long for a header.

No bucket can be named `-`, so these never hide an object.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from cyxcloud.objects.content import layout_of
from cyxcloud.objects.principal import Principal
from cyxcloud.objects.store import Store

PREFIX = "/-/"
_LAYOUT = "/-/layout/"


def answer(raw_path: str, store: Store, principal: Callable[[], Principal]) -> web.Response:
    """`principal` verifies the signature; health needs none, a layout is its account's alone."""
    if raw_path == "/-/healthz":
        return web.Response(text="ok\n")
    if raw_path.startswith(_LAYOUT):
        account = principal().account
        layout = None if account is None else layout_of(store, account, raw_path.removeprefix(_LAYOUT))
        if layout is not None:
            return web.Response(text=layout + "\n")
    return web.Response(status=404, text="not found\n")
