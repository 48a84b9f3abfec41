"""What this node refused and from whom: kept so that it can be shown, bounded so that it can fill nothing.

One JSON line each, with the public key and, where something was signed, the bytes and their signature: whoever has the
line can check it. At its limit the file takes the place of the one before. Lines may be lost with the power, and more
than some a second are only counted: what is refused did no harm.
"""

from __future__ import annotations

import json
import threading
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import structlog

from cyxcloud.core.certificates import Peer
from cyxcloud.core.clock import Clock

log = structlog.get_logger(__name__)

MAX_FILE_BYTES = 4 << 20
LINES_A_SECOND = 10


@dataclass(frozen=True, slots=True)
class Refusal:
    """`peer` None where no certificate was good enough to tell."""

    peer: Peer | None
    remote: str
    what: str
    reason: str
    signed: bytes = b""
    signature: bytes = b""


class EvidenceLog:
    """`path` None: only told to the process' log."""

    def __init__(self, path: Path | None, clock: Clock, threads: Executor, max_bytes: int = MAX_FILE_BYTES) -> None:
        self._path, self._clock, self._threads, self._max_bytes = path, clock, threads, max_bytes
        self._lock = threading.Lock()
        self._second, self._lines = -1, 0
        self.left_out = 0

    def add(self, refusal: Refusal) -> None:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > LINES_A_SECOND:
            self.left_out += 1
            return
        peer = refusal.peer
        line = {
            "at_ms": self._clock.now_ms(),
            "peer": "" if peer is None else peer.node_id.hex(),
            "role": "" if peer is None else str(peer.role),
            "public_key": "" if peer is None else peer.public_key.hex(),
            "remote": refusal.remote,
            "what": refusal.what,
            "reason": refusal.reason,
            "signed": refusal.signed.hex(),
            "signature": refusal.signature.hex(),
            "left_out": self.left_out,
        }
        log.warning("refused", peer=line["peer"], role=line["role"], what=refusal.what, reason=refusal.reason)
        if self._path is not None:
            self._threads.submit(self._write, self._path, json.dumps(line).encode() + b"\n")

    def _write(self, path: Path, line: bytes) -> None:
        with self._lock:
            try:
                if path.exists() and path.stat().st_size + len(line) > self._max_bytes:
                    path.replace(path.with_name(f"{path.stem}.1{path.suffix}"))
                with path.open("ab") as file:
                    file.write(line)
            except OSError as error:
                log.warning("evidence not kept", path=str(path), reason=str(error))
