"""All that follows from changes of buckets, wired: from the log of changes through the queue to the webhooks."""

from __future__ import annotations

import json
from collections.abc import Callable

from aiohttp import web

from cyxcloud.core.keyring import Keyring
from cyxcloud.core.settings import NotificationSettings
from cyxcloud.core.worker import Worker
from cyxcloud.meta import webhooks
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.writer import Writer
from cyxcloud.objects.event_record import event_of_test
from cyxcloud.objects.notification import sealed_as
from fleet.changelog import ChangeTrim
from fleet.deliveries import Deliveries
from fleet.notifications import Notifications
from fleet.outgoing import Guard, Poster
from fleet.storeclock import CoordinatorClock


class Events:
    def __init__(
        self,
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        keyring: Callable[[], Keyring],
        settings: NotificationSettings,
    ) -> None:
        self._reader, self._clock = reader, clock
        self._poster = Poster(Guard(settings.allow), settings.timeout)
        self._deliveries = Deliveries(
            reader,
            writer,
            clock,
            self._poster,
            lambda name, sealed: keyring().open_secret(sealed_as(name), sealed),
            settings.give_up,
        )
        self._others = (
            Notifications(reader, writer, clock),
            ChangeTrim(reader, writer, clock, settings.keep),
        )

    def workers(self) -> list[Worker]:
        return [*self._others, self._deliveries]

    def routes(self) -> list[web.RouteDef]:
        """POST /webhook/test {"name": NAME} sends it a test event now; `error` is what that failed with, "" if it was
        taken."""

        async def test(request: web.Request) -> web.Response:
            try:
                name = str((await request.json())["name"])
            except (json.JSONDecodeError, KeyError, TypeError):
                return web.json_response({"error": 'send {"name": NAME}'}, status=400)
            hook = webhooks.read(self._reader, name)
            if hook is None:
                return web.json_response({"error": f"there is no webhook {name}"}, status=404)
            body = event_of_test("", self._clock.now_ms(), "test")
            return web.json_response({"error": await self._deliveries.test(hook, body)})

        return [web.post("/webhook/test", test)]

    async def close(self) -> None:
        await self._poster.close()
