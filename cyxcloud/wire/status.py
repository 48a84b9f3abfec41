"""The closed sets of the shard protocol and the errors of those who speak it (pure).

The numbers go over the wire and into receipts: never renumber them.
"""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What became of one shard of a request."""

    OK = 1
    CONFLICT = 2  # the shard id exists with other content; the same content again is OK
    FULL = 3
    DOWN = 4
    DENIED = 5
    WRONG_INCARNATION = 6
    NOT_FOUND = 7
    CORRUPT = 8
    BUSY = 9  # not answered in time, or too much in flight: nothing is known, ask again
    IO_ERROR = 10


# Looking a member up by value goes through EnumType.__call__; on the hot paths a table does.
STATUS_BY_CODE = {status.value: status for status in Status}


class NodeState(IntEnum):
    UP = 1
    DOWN = 2  # folder missing, foreign or broken; the reason says which
    READ_ONLY = 3  # below its reserve, or of an incarnation not yet adopted
    LOST = 4  # its host says that the folder is gone or another's: it holds nothing, unless that comes back


class ScrubAction(IntEnum):
    STATUS = 1
    START = 2  # a full pass, now
    STOP = 3  # back to the usual pace; what was read of the pass is kept


class WireError(Exception):
    """The other side broke the protocol; the connection cannot be used further."""


class HostUnavailable(Exception):
    """Not connected, connection lost, or no answer before the deadline."""


class HostRefused(Exception):
    """The host answered with an Error."""

    def __init__(self, status: Status, text: str) -> None:
        super().__init__(f"{status.name}: {text}")
        self.status = status
        self.text = text
