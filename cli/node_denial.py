"""`cyxcloud node deny`: shuts a node out for good, before its certificate expires."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.node_actions import NodeArgument, named
from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show
from cli.store import open_existing
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.ids import NODE_ID_BYTES, NodeId
from cyxcloud.meta import nodes
from cyxcloud.meta.connection import Connection
from fleet.denying import deny as deny_key


def deny(
    node: NodeArgument,
    *,
    reason: Annotated[str, typer.Option(help="Why; it stands in the node's history.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse a node's key from now on: its box was stolen, or its key copied. This is never taken back.

    Gateways drop it within a second, other nodes with their next heartbeat; what it held is made anew on others. A key
    that is no node's, a gateway's for example, is given by its whole id of 64 digits.

    Example: cyxcloud node deny n07 --reason "the box was stolen"
    """
    home = home_of(data)
    with explained(), open_existing(home) as store:
        subject = _subject(store.reader, node)
        now_ms = SystemClock().now_ms()
        is_new = store.change(lambda conn: deny_key(conn, subject, now_ms, reason))
    value = {"id": subject.hex(), "denied": True, "was_denied": not is_new}
    show(value, as_json=as_json, text=lambda console: console.print(f"{node} is denied" if is_new else "denied before"))


def _subject(conn: Connection, text: str) -> NodeId:
    try:
        row = named(nodes.read_all(conn), text)
    except CommandError:
        if len(text) != 2 * NODE_ID_BYTES:
            raise
        try:
            return NodeId(bytes.fromhex(text))
        except ValueError as error:
            raise CommandError(f"{text!r} is no id") from error
    if not row.is_remote:
        raise CommandError(f"{row.name} is a folder of this box, with no certificate to refuse: cyxcloud node replace")
    return row.node_id
