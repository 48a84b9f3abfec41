"""Scrub for commands of this box.

GET  /scrub    how far each node is
POST /scrub    {"action": "start" | "stop", "nodes": [NAME, ...]}: all nodes where none is named
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aiohttp import web

from cyxcloud.core.ids import NodeId
from cyxcloud.wire.shardhost import ScrubProgress, ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable, NodeState, ScrubAction

_ACTIONS = {"start": ScrubAction.START, "stop": ScrubAction.STOP}
_READS = frozenset({NodeState.UP, NodeState.READ_ONLY})


@dataclass(frozen=True, slots=True)
class _Asked:
    action: ScrubAction
    names: frozenset[str]


def routes(hosts: Sequence[ShardHost]) -> list[web.RouteDef]:
    async def status(_: web.Request) -> web.Response:
        return web.json_response(await _on_all(hosts, _Asked(ScrubAction.STATUS, frozenset())))

    async def steer(request: web.Request) -> web.Response:
        try:
            body = await request.json()
            asked = _Asked(_ACTIONS[body["action"]], frozenset(map(str, body.get("nodes", []))))
        except (json.JSONDecodeError, AttributeError, KeyError, TypeError):
            return web.json_response({"error": 'send {"action": "start" or "stop", "nodes": [NAME, ...]}'}, status=400)
        return web.json_response(await _on_all(hosts, asked))

    return [web.get("/scrub", status), web.post("/scrub", steer)]


async def _on_all(hosts: Sequence[ShardHost], asked: _Asked) -> dict[str, object]:
    """Progress by node, and the nodes that could not be asked."""
    found: list[dict[str, object]] = []
    missing = set(asked.names)
    for host in hosts:
        try:
            infos = {info.node_id: info for info in await host.stats() if not asked.names or info.name in asked.names}
            readable = [node for node, info in infos.items() if info.state in _READS]
            if readable:
                found += _described(await host.scrub(asked.action, readable), {n: i.name for n, i in infos.items()})
        except (HostUnavailable, HostRefused):
            continue
    missing -= {str(each["name"]) for each in found}
    return {"nodes": sorted(found, key=lambda each: str(each["name"])), "missing": sorted(missing)}


def _described(progress: Collection[ScrubProgress], names: dict[NodeId, str]) -> list[dict[str, object]]:
    return [
        {
            "name": names[each.node_id],
            "node_id": each.node_id.hex(),
            "running": each.running,
            "done_bytes": each.done_bytes,
            "total_bytes": each.total_bytes,
            "started_at_ms": each.started_at_ms,
            "finished_at_ms": each.finished_at_ms,
            "found": each.found,
        }
        for each in progress
    ]
