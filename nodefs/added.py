"""Folders that a host was asked to serve after its start, remembered beside its socket for when it dies and is started
again; a new start of the store finds their nodes in its metadata and begins without this list."""

from __future__ import annotations

import json
from pathlib import Path

from cyxcloud.core.durable import write_file

SUFFIX = ".folders"


def read_added(socket: Path) -> list[Path]:
    try:
        return [Path(each) for each in json.loads(socket.with_suffix(SUFFIX).read_text())]
    except FileNotFoundError:
        return []


def remember(socket: Path, folder: Path) -> None:
    known = read_added(socket)
    if folder not in known:
        write_file(socket.with_suffix(SUFFIX), json.dumps([str(each) for each in (*known, folder)]).encode())
