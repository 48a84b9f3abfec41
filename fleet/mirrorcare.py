"""Makes a stale mirror of the metadata equal again once its disk works, and keeps its copy of the keyring.

No checkpoint runs meanwhile (the gate); writes go on. Each attempt that fails leaves the mirror stale.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import structlog

from cyxcloud.core import keycopies
from cyxcloud.core.keyring import NODE_FOLDER, Keyring
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta.mirror import FAULTS, OutOfStep
from cyxcloud.meta.mirror_catchup import CaughtUp, HomeFiles, MirrorRefused, catch_up
from cyxcloud.meta.mirror_state import Step, read_state

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
# A disk that came back is used again within this; one that stays away costs a look at its folder.
RETRY_SECONDS = 5.0


class MirrorCare:
    name = "mirror"

    def __init__(self, database: Path, load: Callable[[], Keyring], gate: asyncio.Lock) -> None:
        self._database, self._load, self._gate = database, load, gate
        self._files = HomeFiles.of(database)

    async def step(self, now: float) -> Did | Idle:
        state = read_state(self._database.parent)
        if state is None:
            return Idle(now + LOOK_SECONDS)
        if state.step is not Step.IN_STEP:
            async with self._gate:
                caught = await asyncio.to_thread(self._catch_up)
            if caught is None:
                return Idle(now + RETRY_SECONDS)
            log.warning("the metadata's mirror is in step again", mirror=str(state.folder), **asdict(caught))
        folder = state.folder / NODE_FOLDER
        await asyncio.to_thread(lambda: keycopies.refresh(self._load(), [folder]))
        return Idle(now + LOOK_SECONDS)

    def _catch_up(self) -> CaughtUp | None:
        try:
            return catch_up(self._database, files=self._files)
        except (*FAULTS, OutOfStep, MirrorRefused) as error:
            log.info("the metadata's mirror stays stale", error=str(error))
            return None
