"""What commands of this box, and the fleet's API, ask about movement.

GET  /mover            what it does and waits for
GET  /mover/waiting    what is not whole, or not where it belongs, and what each waits for
POST /repair           {"node": ID or NAME}: not waited for any more; {"object": "BUCKET/KEY"}: its shards are looked at
GET  /drain            every drain there was: progress, and the signed receipt of those that ended
POST /drain            {"node": ID or NAME, "action": "begin" | "cancel" | "resume"}; 409 says why it may not
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from aiohttp import web

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta import nodes
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.drains import DrainRow
from cyxcloud.meta.rows import GONE
from cyxcloud.meta.writer import Writes
from fleet.drains import DrainProgress, DrainRefused, Drains
from fleet.mover.manual import repair_object
from fleet.mover.worker import Mover


def routes(mover: Mover) -> list[web.RouteDef]:
    async def tally(_: web.Request) -> web.Response:
        return web.json_response(asdict(mover.tally))

    async def waiting(_: web.Request) -> web.Response:
        return web.json_response({"waiting": [asdict(each) for each in mover.waiting()]})

    return [web.get("/mover", tally), web.get("/mover/waiting", waiting)]


def repair_routes(mover: Mover, reader: Connection, writer: Writes, now_ms: Callable[[], int]) -> list[web.RouteDef]:
    async def repair(request: web.Request) -> web.Response:
        try:
            body = await request.json()
            node, name = body.get("node"), body.get("object")
        except (json.JSONDecodeError, AttributeError):
            node = name = None
        if isinstance(node, str) and name is None:
            return _given_up(mover, reader, node)
        bucket, slash, key = name.partition("/") if isinstance(name, str) and node is None else ("", "", "")
        if not slash:
            return web.json_response({"error": 'send {"node": ID or NAME} or {"object": "BUCKET/KEY"}'}, status=400)
        listed = await repair_object(reader, writer, bucket, key.encode(), now_ms())
        if listed is None:
            return web.json_response({"error": f"no object {name}"}, status=404)
        return web.json_response({"shards": listed})

    return [web.post("/repair", repair)]


def _given_up(mover: Mover, reader: Connection, node: str) -> web.Response:
    number = node_named(reader, node)
    if number is None:
        return web.json_response({"error": f"no node {node}"}, status=404)
    if not mover.give_up(number):
        problem = f"{node} can be read: `cyxcloud scrub start` looks at all it holds"
        return web.json_response({"error": problem}, status=409)
    return web.json_response({"node": number})


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
