"""What `cyxcloud meta adopt` asks of a running coordinator, over DIR/run/control.sock.

GET  /reconcile          {"unknown_sessions": [number, ...]}: of shards that the last pass saw and no row knows
POST /reconcile/adopted  {"nodes": {id: folder, ...}}: these have been told of this incarnation; open them again
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import structlog
from aiohttp import web

from cyxcloud.core.ids import NodeId
from cyxcloud.core.worker import Runner
from cyxcloud.wire.shardhost import ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable
from fleet.reconcile import Reconciler

log = structlog.get_logger(__name__)


def routes(reconciler: Reconciler, hosts: Sequence[ShardHost], runner: Runner) -> list[web.RouteDef]:
    async def tell(_: web.Request) -> web.Response:
        return web.json_response({"unknown_sessions": sorted(reconciler.unknown)})

    async def adopted(request: web.Request) -> web.Response:
        try:
            asked = (await request.json())["nodes"].items()
            given = [(NodeId(bytes.fromhex(node)), Path(folder)) for node, folder in asked]
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError):
            return web.json_response({"error": 'send {"nodes": {ID: FOLDER}}'}, status=400)
        missed = [str(folder) for node, folder in given if not await open_again(hosts, node, folder)]
        runner.wake(reconciler.name)
        return web.json_response({"missed": missed})

    return [web.get("/reconcile", tell), web.post("/reconcile/adopted", adopted)]


async def open_again(hosts: Sequence[ShardHost], node: NodeId, folder: Path) -> bool:
    """By the host that served it, or the first one."""
    try:
        await next((host for host in hosts if node in host.nodes), hosts[0]).open_node(folder)
    except (HostRefused, HostUnavailable) as error:
        log.warning("adopted node not opened", folder=str(folder), reason=str(error))
        return False
    return True
