"""Every server process starts here: `python -m cli.child KIND CHILD SERVER`, the last two as JSON.

The process dies with its supervisor (the kernel kills it), since nobody else would restart it, close its session or
give up the store's lock. SIGTERM ends it in order: the server's `run` is cancelled and finishes what it has begun.
Servers are imported here and nowhere else in cli, and only the one that is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import uvloop
from pydantic import TypeAdapter

from cyxcloud.core import log
from cyxcloud.core.settings import LogSettings, ScrubSettings
from fleet.config import CoordinatorSpec
from s3gw.config import GatewaySpec

logger = structlog.get_logger(__name__)

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class NodeHostSpec:
    folders: tuple[Path, ...]
    socket: Path
    scrub: ScrubSettings = field(default_factory=ScrubSettings)


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What any child is told, beside what its server needs."""

    name: str
    supervisor_pid: int
    log_file: Path
    log: LogSettings


Server = GatewaySpec | CoordinatorSpec | NodeHostSpec
KINDS: dict[str, type[Server]] = {"gateway": GatewaySpec, "coordinator": CoordinatorSpec, "nodehost": NodeHostSpec}


def command(kind: str, child: ChildSpec, server: Server) -> tuple[str, ...]:
    """How to start it; -P keeps the folder that cyxcloud was called in from hiding our modules."""
    specs = TypeAdapter(ChildSpec).dump_json(child), TypeAdapter(type(server)).dump_json(server)
    return sys.executable, "-P", "-m", "cli.child", kind, *(text.decode() for text in specs)


def main(given: list[str]) -> int:
    kind, child_text, server_text = given
    child = TypeAdapter(ChildSpec).validate_json(child_text)
    server = TypeAdapter(KINDS[kind]).validate_json(server_text)
    _die_with(child.supervisor_pid)
    log.configure(child.name, level=child.log.level, json=child.log.json_lines, file=child.log_file)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            uvloop.run(_until_told(_server(server)))
    except Exception:
        logger.exception("server stopped by a fault")
        return 1
    return 0


def _server(spec: Server) -> Coroutine[object, object, None]:
    match spec:
        case GatewaySpec():
            import s3gw.app

            return s3gw.app.run(spec)
        case CoordinatorSpec():
            import fleet.app

            return fleet.app.run(spec)
        case NodeHostSpec():
            import nodefs.app

            return nodefs.app.NodeHost(spec.folders, spec.socket, scrub=spec.scrub).run()


async def _until_told(server: Coroutine[object, object, None]) -> None:
    task = asyncio.create_task(server)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def _die_with(supervisor_pid: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor_pid:  # it died before the kernel was told
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
