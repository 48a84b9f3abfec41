"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import os
import socket
import struct

_PEERCRED = struct.Struct("3i")


def same_user(connection: socket.socket) -> bool:
    _, uid, _ = _PEERCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size))
    return bool(uid == os.getuid())
