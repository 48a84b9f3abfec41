"""How many shards a chunk has (pure)."""

from __future__ import annotations

import math
from typing import NamedTuple


class Profile(NamedTuple):
    """k data and m parity shards a chunk."""

    k: int
    m: int

    @property
    def n(self) -> int:
        return self.k + self.m

    @property
    def write_quorum(self) -> int:
        """Durable shards without which a chunk is not acknowledged."""
        return self.k + math.ceil(self.m / 2)

    @classmethod
    def parse(cls, text: str) -> Profile:
        """Of a text that the settings have already checked."""
        k, _, m = text.partition("+")
        return cls(int(k), int(m))

    def __str__(self) -> str:
        return f"{self.k}+{self.m}"
