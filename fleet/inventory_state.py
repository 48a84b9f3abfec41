"""Where an inventory report is, as it is noted (pure). Format v1: the byte 0x01 and JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from cyxcloud.meta.inventory import Place
from cyxcloud.objects.inventory_report import DataFile

FORMAT = b"\x01"
START = Place()


@dataclass(frozen=True, slots=True)
class State:
    """`started_ms` 0: none is being made; `error` says why the last one was not."""

    started_ms: int = 0
    after: Place = START
    files: tuple[DataFile, ...] = ()
    error: str = ""

    def with_file(self, file: DataFile, after: Place) -> State:
        return replace(self, after=after, files=(*self.files, file))


def encode(state: State) -> bytes:
    fields = {
        "started": state.started_ms,
        "after": [state.after.key.hex(), state.after.seq],
        "files": [[each.key, each.size, each.md5] for each in state.files],
        "error": state.error,
    }
    return FORMAT + json.dumps(fields, separators=(",", ":")).encode()


def decode(data: bytes) -> State | None:
    """None of another version's: the report begins anew."""
    if data[:1] != FORMAT:
        return None
    fields = json.loads(data[1:])
    key, seq = fields["after"]
    files = tuple(DataFile(*each) for each in fields["files"])
    return State(fields["started"], Place(bytes.fromhex(key), seq), files, fields["error"])
