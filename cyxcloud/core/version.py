"""Which software this is, and which of two is older (pure)."""

from __future__ import annotations

import re
from importlib.metadata import version

SOFTWARE = version("cyxcloud")


def is_older(one: str, other: str) -> bool:
    """By the numbers before any suffix; what names no number is older than all."""
    return _numbers(one) < _numbers(other)


def _numbers(text: str) -> tuple[int, ...]:
    """Zeros at the end say nothing: 1.4 is 1.4.0."""
    release = re.match(r"\d+(\.\d+)*", text)
    numbers = [int(part) for part in release.group().split(".")] if release else [-1]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
