"""Sizes as people write them: 10GB, 2TiB, 500M (pure)."""

from __future__ import annotations

import re

from cli.options import CommandError

_UNITS = {
    "": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGTP", 1)},
    **{letter: 1000**power for power, letter in enumerate("KMGTP", 1)},
    **{f"{letter}IB": 1024**power for power, letter in enumerate("KMGTP", 1)},
    "B": 1,
}


def parse_size(text: str) -> int:
    """Bytes. CommandError says how it is written."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = _UNITS.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise CommandError(f"{text!r} is no size; write 500GB, 2TiB or a number of bytes")
    return int(float(match[1]) * unit)
