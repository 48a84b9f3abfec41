"""What `bucket quota` and `user quota` share: sizes as people write them, the options, how a limit is shown."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from cli.options import CommandError
from cyxcloud.meta.quotas import Sum
from cyxcloud.objects.quota import Quota

BytesOption = Annotated[
    str | None, typer.Option("--bytes", metavar="SIZE", help="Most bytes: 500MB, 10GB (powers of ten), 1TiB (of two).")
]
ObjectsOption = Annotated[
    int | None, typer.Option("--objects", metavar="N", help="Most objects, old versions and delete markers included.")
]
NoneOption = Annotated[bool, typer.Option("--none", help="Take the limits away.")]

MAX_BYTES = (1 << 63) - 1
_SIZE = re.compile(r"(\d{1,19})(?:\.(\d{1,3}))?\s*(?:([KMGTPE]?)(i?)B?)", re.IGNORECASE | re.ASCII).fullmatch
_POWERS = {letter: power for power, letter in enumerate(["", "K", "M", "G", "T", "P", "E"])}


def parse_size(text: str) -> int:
    """Raises CommandError."""
    match = _SIZE(text.strip())
    if match is None:
        raise CommandError(f"{text!r} is no size; write 500MB, 10GB or 1TiB")
    whole, fraction, letter, binary = match.groups()
    unit: int = (1024 if binary else 1000) ** _POWERS[letter.upper()]
    size = int(whole) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
    if size > MAX_BYTES:
        raise CommandError(f"{text!r} is more than any store holds")
    return size


def wanted(present: Quota, to_bytes: str | None, to_objects: int | None, *, none: bool) -> Quota:
    """The limit after these options; one that is not named stays. Raises CommandError."""
    if none and (to_bytes is not None or to_objects is not None):
        raise CommandError("--none takes both limits away; give it alone")
    if none:
        return Quota()
    if to_objects is not None and not 0 <= to_objects <= MAX_BYTES:
        raise CommandError("--objects is a count")
    return Quota(
        present.bytes if to_bytes is None else parse_size(to_bytes),
        present.objects if to_objects is None else to_objects,
    )


def described(limit: Quota, used: Sum) -> dict[str, Any]:
    return {
        "objects": used.objects,
        "bytes": used.bytes,
        "quota_objects": limit.objects,
        "quota_bytes": limit.bytes,
    }


def quota_text(whose: str, value: dict[str, Any]) -> str:
    return "\n".join(
        [whose]
        + [
            f"  {value[unit]} of {'any number of' if value[f'quota_{unit}'] is None else value[f'quota_{unit}']} {unit}"
            for unit in ("objects", "bytes")
        ]
    )
