"""How fast each host has lately answered, and which shards of a chunk to ask for first (pure).

What a host took is a moving mean that fades: one that was slow is, with time, thought as fast as any, so that it is
asked again and what is known of it stays true. A host never asked counts as fast, in another region as further away.
Requests on their way count: an answer that is awaited takes the longer the more there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

# Of a new answer; what ten answers ago was learnt counts for a tenth.
_SHARE = 0.2
FADES_SECONDS = 30.0
# As a first guess, between what hosts of one region and of two take.
FAR_SECONDS = 0.05
# So many requests on their way to a host count as twice its time.
BUSY_AT = 16
# Decoding a chunk of 4 MiB costs 3 to 5 ms, and clocks of a busy box stray by as much: a parity shard is asked for
# instead of a data shard only where that gains clearly more.
SLOWER, MARGIN_SECONDS = 2.0, 0.01
# A write waits for all its nodes: one of these times the usual is left to others.
SLOW_WRITE, SLOW_WRITE_SECONDS = 4.0, 0.25


class Speeds:
    """Of one kind of request. Times of the caller's monotonic clock."""

    def __init__(self) -> None:
        self._mean: dict[object, tuple[float, float]] = {}
        self._on_their_way: dict[object, int] = {}

    def began(self, host: object) -> None:
        self._on_their_way[host] = self._on_their_way.get(host, 0) + 1

    def ended(self, host: object, seconds: float, now: float, *, answered: bool = True) -> None:
        """After so long. One that was broken off would have taken longer: that never makes a host faster."""
        left = self._on_their_way.get(host, 0) - 1
        if left > 0:
            self._on_their_way[host] = left
        else:
            self._on_their_way.pop(host, None)
        known = self._mean.get(host)
        if not answered and known is not None and seconds <= known[0]:
            return
        mean = seconds if known is None else known[0] + _SHARE * (seconds - known[0])
        self._mean[host] = mean, now

    def expected(self, host: object, now: float, *, far: bool = False) -> float:
        known = self._mean.get(host)
        guess = FAR_SECONDS if far else 0.0
        if known is not None:
            mean, at = known
            weight = 0.5 ** ((now - at) / FADES_SECONDS)
            guess += weight * (mean - guess)
        return guess * (1 + self._on_their_way.get(host, 0) / BUSY_AT)

    def slow(self, now: float) -> set[object]:
        """Those far slower than is usual."""
        if len(self._mean) < 2:
            return set()
        times = sorted(mean for mean, _ in self._mean.values())
        usual = times[len(times) // 2]
        bound = max(SLOW_WRITE_SECONDS, SLOW_WRITE * usual)
        return {host for host in self._mean if self.expected(host, now) > bound}

    def forget_others(self, hosts: Iterable[object]) -> None:
        kept = set(hosts)
        self._mean = {host: known for host, known in self._mean.items() if host in kept}


def swaps(data: Sequence[int], parity: Sequence[int], seconds: Mapping[int, float]) -> dict[int, int]:
    """Data shards that are better not asked for at first, each with the parity shard to be asked for instead."""
    slowest = sorted(data, key=seconds.__getitem__, reverse=True)
    fastest = sorted(parity, key=seconds.__getitem__)
    return {
        slow: fast
        for slow, fast in zip(slowest, fastest, strict=False)
        if seconds[slow] > SLOWER * seconds[fast] + MARGIN_SECONDS
    }
