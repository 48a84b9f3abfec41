"""`cyxcloud node history` and `node appeal`: what happened to a node and why, and the evidence run again."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.node_actions import NodeArgument, named
from cli.options import DataOption, JsonOption, explained, home_of, show, table
from cli.store import open_existing
from cyxcloud.core.clock import SystemClock
from cyxcloud.meta import node_events, node_scores, nodes
from fleet.audits.appeal import appeal as run_again
from fleet.audits.reputation import ONE, Reputation


def history(
    node: NodeArgument,
    *,
    data: DataOption = None,
    limit: Annotated[int, typer.Option(help="So many of the newest events.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """What happened to a node, the newest first; each change of its score names its evidence.

    Example: cyxcloud node history node-03 --limit 10
    """
    home = home_of(data)
    with explained(), open_existing(home) as store:
        row = named(nodes.read_all(store.reader), node)
        events = node_events.page(store.reader, row.number, limit)
        known = node_scores.read(store.reader, row.number)
    score = Reputation() if known is None else Reputation(known.alpha, known.beta)
    value = {
        "name": row.name,
        "id": row.node_id.hex(),
        "standing": row.standing,
        "score": score.score / ONE,
        "audits": 0 if known is None else known.audits,
        "failed": 0 if known is None else known.failed,
        "late": 0 if known is None else known.late,
        "events": [
            {
                "seq": event.seq,
                "at": datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="seconds"),
                "kind": event.kind,
                "detail": dict(event.detail),
                "evidence_bytes": len(event.evidence or b""),
            }
            for event in events
        ],
    }
    lines = [
        {
            "seq": each.seq,
            "at": datetime.fromtimestamp(each.at_ms / 1000, UTC),
            "kind": each.kind,
            "detail": each.detail,
        }
        for each in events
    ]
    show(value, as_json=as_json, text=lambda console: table(console, ("seq", "at", "kind", "detail"), lines))


def appeal(node: NodeArgument, *, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Judge a node's failed audits again from their evidence; what does not hold is taken back.

    Example: cyxcloud node appeal node-03
    """
    home = home_of(data)
    with explained(), open_existing(home) as store:
        row = named(nodes.read_all(store.reader), node)
        now_ms = SystemClock().now_ms()
        found = store.change(lambda conn: run_again(conn, row.number, now_ms))
    text = f"{row.name}: {found.upheld} failed audits stand, {found.dropped} were taken back; {found.standing}"
    show(asdict(found), as_json=as_json, text=lambda console: console.print(text))
