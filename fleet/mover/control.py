"""What status asks about the mover.

GET  /mover    what it does and waits for
"""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from fleet.mover.worker import Mover


def routes(mover: Mover) -> list[web.RouteDef]:
    async def tally(_: web.Request) -> web.Response:
        return web.json_response(asdict(mover.tally))

    return [web.get("/mover", tally)]
