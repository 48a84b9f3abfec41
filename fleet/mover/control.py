"""What commands of this box, and the fleet's API, ask about movement.

GET  /mover            what it does and waits for
GET  /drain            every drain there was: progress, and the signed receipt of those that ended
POST /drain            {"node": ID or NAME, "action": "begin" | "cancel" | "resume"}; 409 says why it may not
"""

from __future__ import annotations

import json
from dataclasses import asdict

from aiohttp import web

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta import nodes
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.drains import DrainRow
from cyxcloud.meta.rows import GONE
from fleet.drains import DrainProgress, DrainRefused, Drains
from fleet.mover.worker import Mover


def routes(mover: Mover) -> list[web.RouteDef]:
    async def tally(_: web.Request) -> web.Response:
        return web.json_response(asdict(mover.tally))

    return [web.get("/mover", tally)]


def drain_routes(drains: Drains, reader: Connection) -> list[web.RouteDef]:
    actions = {"begin": drains.begin, "cancel": drains.cancel, "resume": drains.resume}

    async def progress(_: web.Request) -> web.Response:
        return web.json_response({"drains": [described(each) for each in drains.progress()]})

    async def act(request: web.Request) -> web.Response:
        try:
            body = await request.json()
            node, action = str(body["node"]), actions[body["action"]]
        except (json.JSONDecodeError, KeyError, TypeError):
            problem = 'send {"node": ID or NAME, "action": "begin", "cancel" or "resume"}'
            return web.json_response({"error": problem}, status=400)
        number = node_named(reader, node)
        if number is None:
            return web.json_response({"error": f"no node {node}"}, status=404)
        try:
            row = await action(number)
        except DrainRefused as refusal:
            return web.json_response({"error": str(refusal)}, status=409)
        return web.json_response(_row(row))

    return [web.get("/drain", progress), web.post("/drain", act)]


def node_named(conn: Connection, text: str) -> NodeNumber | None:
    """By its id in hexadecimal, an unambiguous beginning of that of at least eight digits, or its name."""
    living = [row for row in nodes.read_all(conn) if row.state != GONE]
    named = [row.number for row in living if row.name == text]
    found = named or [row.number for row in living if len(text) >= 8 and row.node_id.hex().startswith(text)]
    return found[0] if len(found) == 1 else None


def described(progress: DrainProgress) -> dict[str, object]:
    return _row(progress.row) | {
        "name": progress.name,
        "chunks_left": progress.left,
        "bytes_per_second": round(progress.bytes_per_second),
        "expected_end_ms": progress.expected_end_ms,
        "waiting_for": list(progress.waiting_for),
    }


def _row(row: DrainRow) -> dict[str, object]:
    """The receipt's body is text, so that what was signed can be kept as it is."""
    return {
        "node": row.node,
        "state": str(row.state),
        "begun_at_ms": row.begun_at_ms,
        "ended_at_ms": row.ended_at_ms,
        "shards": row.shards,
        "bytes": row.size_bytes,
        "shards_moved": row.shards_moved,
        "bytes_moved": row.bytes_moved,
        "receipt": None if row.receipt is None else row.receipt.decode(),
        "signature": None if row.signature is None else row.signature.hex(),
    }
