from __future__ import annotations

import pytest

from cli.options import CommandError
from cli.quotas import MAX_BYTES, parse_size, wanted
from cyxcloud.objects.quota import Quota


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1000", 1000),
        ("1000B", 1000),
        ("10GB", 10 * 10**9),
        ("10 gb", 10 * 10**9),
        ("1.5K", 1500),
        ("1TiB", 1 << 40),
        ("2Ki", 2048),
        ("0.5MiB", 1 << 19),
    ],
)
def test_parse_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1XB", "1 2", "1e9", "10EiB", "٣"])
def test_parse_size_refuses(text: str) -> None:
    with pytest.raises(CommandError):
        parse_size(text)


def test_wanted_keeps_the_limit_that_is_not_named() -> None:
    present = Quota(5, 6)
    assert wanted(present, None, None, none=False) == present
    assert wanted(present, "7", None, none=False) == Quota(7, 6)
    assert wanted(present, None, 0, none=False) == Quota(5, 0)
    assert wanted(present, None, None, none=True) == Quota()


@pytest.mark.parametrize(("to_bytes", "to_objects", "none"), [("1", None, True), (None, -1, False)])
def test_wanted_refuses_what_makes_no_sense(to_bytes: str | None, to_objects: int | None, none: bool) -> None:  # noqa: FBT001
    with pytest.raises(CommandError):
        wanted(Quota(), to_bytes, to_objects, none=none)


def test_the_greatest_size_is_one_that_is_stored() -> None:
    assert parse_size(str(MAX_BYTES)) == MAX_BYTES
