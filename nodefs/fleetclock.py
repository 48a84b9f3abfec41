"""How far this box's clock is from the fleet's (pure): measured with each answer, said before it does harm.

Certificates, tickets and orders expire by clocks. The fleet refuses reports that are minutes off; a node says so itself
long before that.
"""

from __future__ import annotations

from dataclasses import dataclass

# Good clocks differ by far less; the slowest answer that counts takes ten seconds.
WARN_MS = 30_000


@dataclass(frozen=True, slots=True)
class Reading:
    """`offset_ms`: how far this clock is ahead of the fleet's; `error_ms`: at most so much of that is the way's."""

    offset_ms: int
    error_ms: int

    @classmethod
    def of(cls, server_ms: int, sent_ms: int, answered_ms: int) -> Reading:
        """The fleet's time was read at some moment between the two of ours."""
        return cls((sent_ms + answered_ms) // 2 - server_ms, abs(answered_ms - sent_ms) // 2)

    @property
    def is_wrong(self) -> bool:
        return abs(self.offset_ms) - self.error_ms > WARN_MS

    def said(self) -> str:
        side = "ahead of" if self.offset_ms > 0 else "behind"
        return f"this clock is {abs(self.offset_ms) / 1000:.0f} s {side} the fleet's; set it by NTP"
