"""Keeps the copies of the keyring in the nodes' folders up to the keyring: of a node that was away while keys were
rotated, or that has been replaced. Each copy is written whole, so a crash leaves an old one or the new one, both of
which the recovery code opens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from cyxcloud.core import keycopies
from cyxcloud.core.keyring import NODE_FOLDER, Keyring
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import nodes
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import GONE, NodeRow

LOOK_SECONDS = 60.0


class KeyCopies:
    name = "key-copies"

    def __init__(self, load: Callable[[], Keyring], reader: Connection, data_dirs: Sequence[Path]) -> None:
        self._load, self._reader, self._data_dirs = load, reader, tuple(data_dirs)

    async def step(self, now: float) -> Did | Idle:
        folders = copy_folders(nodes.read_all(self._reader), self._data_dirs)
        await asyncio.to_thread(lambda: keycopies.refresh(self._load(), folders))
        return Idle(now + LOOK_SECONDS)


def copy_folders(rows: Sequence[NodeRow], data_dirs: Sequence[Path]) -> list[Path]:
    """Where this box's nodes have their copy of the keyring."""
    here = [row for row in rows if row.state != GONE and not row.is_remote]
    return [node_folder(row, data_dirs) / NODE_FOLDER for row in here]


def node_folder(row: NodeRow, data_dirs: Sequence[Path]) -> Path:
    """Where the node stands, else where it was made: a node whose folder is gone stays down."""
    made = Path(unquote(row.endpoint.removeprefix("file://")))
    candidates = [folder / "nodes" / row.name for folder in data_dirs]
    return next((folder for folder in [*candidates, made] if folder.is_dir()), made)
