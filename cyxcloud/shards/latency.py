"""How long hosts lately took: when to ask somebody else as well (pure)."""

from __future__ import annotations

from collections import deque

_SAMPLES = 128
_RECOMPUTE_EVERY = 16
# Below the first a hedge costs more than it saves, above the second a client notices.
MIN_HEDGE_SECONDS = 0.02
MAX_HEDGE_SECONDS = 2.0


class Latency:
    """The 95th percentile of the last reads, kept within bounds."""

    def __init__(self, first_hedge_seconds: float) -> None:
        self.hedge_seconds = first_hedge_seconds  # until there are samples
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self._fresh = 0

    def add(self, seconds: float) -> None:
        self._samples.append(seconds)
        self._fresh += 1
        if self._fresh >= _RECOMPUTE_EVERY:
            self._fresh = 0
            p95 = sorted(self._samples)[len(self._samples) * 95 // 100]
            self.hedge_seconds = min(MAX_HEDGE_SECONDS, max(MIN_HEDGE_SECONDS, p95))
