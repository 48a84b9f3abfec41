"""What the coordinator is told at its start: a value that the supervisor hands over, never the environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CoordinatorSpec:
    """`control` is the operators' listener, HOST:PORT; `control_socket` serves this box's commands and supervisor."""

    home: Path
    data_dirs: tuple[Path, ...]
    control: str
    control_socket: Path
    node_sockets: tuple[Path, ...]
