"""Whose certificates this node refuses although they have not expired: as the fleet said last, also after a restart."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import structlog

from cyxcloud.core.certificates import TlsIdentity
from cyxcloud.core.durable import write_file
from cyxcloud.core.ids import NodeId
from cyxcloud.wire.fleetpeer import coordinator_context
from cyxcloud.wire.joining import DENIED_PATH

log = structlog.get_logger(__name__)

_ANSWER_SECONDS = 20.0
_MAX_BYTES = 16 << 20


class Denied:
    """`keys` is what counts now; `heard` takes the epoch of each heartbeat's answer."""

    def __init__(self, path: Path, url: str) -> None:
        self._path, self._url = path, url
        self.epoch, self.keys = _read(path)
        self._fetching: asyncio.Task[None] | None = None

    @property
    def is_asking(self) -> bool:
        return self._fetching is not None

    def heard(self, epoch: int, identity: TlsIdentity) -> None:
        if epoch != self.epoch and self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(identity))

    async def _fetch(self, identity: TlsIdentity) -> None:
        try:
            timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(self._url + DENIED_PATH, ssl=coordinator_context(identity)) as response,
            ):
                response.raise_for_status()
                data = await response.content.read(_MAX_BYTES)
            self.epoch, self.keys = _parse(data)
            write_file(self._path, data)
            log.info("denied keys", count=len(self.keys))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError) as error:
            log.warning("denied keys not fetched; asked again with the next heartbeat", reason=str(error))
        finally:
            self._fetching = None


def _read(path: Path) -> tuple[int, frozenset[NodeId]]:
    try:
        return _parse(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return -1, frozenset()


def _parse(data: bytes) -> tuple[int, frozenset[NodeId]]:
    value = json.loads(data)
    return int(value["epoch"]), frozenset(NodeId(bytes.fromhex(each)) for each in value["denied"])
