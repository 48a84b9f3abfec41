"""What the supervisor and commands of this box ask the coordinator over DIR/run/control.sock (0600).

GET  /healthz           200 when it runs
GET  /keys              how far wrapping keys anew is
GET  /reconcile         write sessions that it does not know; POST /reconcile/adopted: see adoption.py
GET  /scrub             how far scrub is; POST starts and stops it: see scrubcontrol.py
GET  /workers           what each background worker does
POST /session/closed    {"session": number}: that writer's process is dead
"""

from __future__ import annotations

import json
from dataclasses import asdict

from aiohttp import web

from cyxcloud.core.ids import SessionNumber
from cyxcloud.core.worker import Runner
from fleet.sessions import SessionWatch


def control_app(sessions: SessionWatch, runner: Runner) -> web.Application:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def workers(_: web.Request) -> web.Response:
        return web.json_response({name: asdict(progress) for name, progress in runner.progress.items()})

    async def session_closed(request: web.Request) -> web.Response:
        try:
            number = int((await request.json())["session"])
        except (json.JSONDecodeError, KeyError, TypeError, ValueError):
            return web.json_response({"error": 'send {"session": NUMBER}'}, status=400)
        return web.json_response({"closed": await sessions.close(SessionNumber(number))})

    app = web.Application()
    app.add_routes(
        [
            web.get("/healthz", healthz),
            web.get("/workers", workers),
            web.post("/session/closed", session_closed),
        ]
    )
    return app


def operators_app() -> web.Application:
    """The operators' listener: health only, until the fleet API with its own tokens stands."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz)])
    return app
