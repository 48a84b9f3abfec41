"""How far the write-ahead log goes, read from the header of SQLite's `-shm` file.

The file's size does not tell: a rolled-back transaction leaves frames behind, and a log that was moved into the main
file whole is begun again in place. The header is of the last COMMIT. Read it while holding the writers' lock, with a
connection open, since SQLite then has it in order. (https://www.sqlite.org/walformat.html)
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from cyxcloud.meta.heldfile import HeldFile

# Version, unused, change counter, initialised, checksum's byte order, page size, frames, pages, checksum, salts.
_HEADER = struct.Struct("=IIIBBHII8s8s")
WAL_VERSION = 3007000
WAL_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
# In the log's own header.
SALTS_AT = slice(16, 24)


class WalIndexUnusable(Exception):
    """No header that this program knows."""


@dataclass(frozen=True, slots=True)
class WalPosition:
    """`salts` name one filling of the log: SQLite takes others when it begins anew."""

    salts: bytes
    end: int  # 0 when nothing is in it


class WalIndex:
    def __init__(self, database: Path) -> None:
        self._file = HeldFile(Path(f"{database}-shm"))

    def position(self) -> WalPosition:
        header = os.pread(self._file.fd, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            raise WalIndexUnusable(f"{self._file.path} is {len(header)} bytes long")
        version, _, _, initialised, _, page, frames, _, _, salts = _HEADER.unpack(header)
        if version != WAL_VERSION or not initialised:
            raise WalIndexUnusable(f"{self._file.path} has version {version}")
        page_bytes = 65536 if page == 1 else page
        return WalPosition(salts, WAL_HEADER_BYTES + frames * (FRAME_HEADER_BYTES + page_bytes) if frames else 0)
