"""How fast the mover may go (pure): a token bucket of plaintext bytes.

Tokens are taken before work of a size that is known only roughly, so the bucket may go below nothing by one batch and
has to come back up first.
"""

from __future__ import annotations

# Short bursts: a chunk or two at the default rate, so that requests never wait for a row of them.
BURST_SECONDS = 0.06


class Bucket:
    def __init__(self, bytes_per_second: float, now: float) -> None:
        self._rate = bytes_per_second
        self._tokens = self._most = bytes_per_second * BURST_SECONDS
        self._at = now

    def room(self, now: float) -> float:
        """Bytes that may be begun now; none or less: wait until `ready_at`."""
        self._tokens = min(self._most, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        return self._tokens

    def take(self, size: float) -> None:
        self._tokens -= size

    def ready_at(self) -> float:
        return self._at + max(0.0, -self._tokens) / self._rate
