"""The TLS context of a listener that stands for longer than its certificate."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from cyxcloud.core.certificates import TlsIdentity


def server_context(identity: Callable[[], TlsIdentity]) -> ssl.SSLContext:
    """New handshakes show the certificate that `identity` gives then, and demand one."""
    shown = identity()
    context = shown.server_context()
    newest = (shown, context)

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        nonlocal newest
        now = identity()
        if now is not newest[0]:
            newest = now, now.server_context()
        if newest[1] is not context:
            connection.context = newest[1]

    context.sni_callback = choose
    return context
