"""What objects/ needs of a body that is being received, whatever the protocol it comes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cyxcloud.objects.attributes import Checksum


@dataclass(frozen=True, slots=True)
class Digests:
    """What the whole body hashed to. `checksum` only where the client named an algorithm."""

    md5: bytes
    checksum: Checksum | None = None


class Body(Protocol):
    """Plaintext as it comes in; `length` in bytes where the client said it, else None."""

    length: int | None

    async def fill(self, into: memoryview) -> int:
        """Writes the next bytes into the buffer; fewer than it holds only at the end of the body."""
        ...

    async def drain(self) -> None:
        """Takes what follows the last byte (framing, trailers); raises where that is more content or not whole."""
        ...

    def digest(self, data: memoryview) -> None:
        """Adds received bytes, in order, to every digest that is being kept. Pure CPU: may run in a thread."""
        ...

    def finish(self) -> Digests:
        """Checks every digest the client gave; raises the edge's own error where one is wrong. After the last byte."""
        ...
