from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.objects.attributes import EMPTY, FORMAT, Attributes, Checksum, PartInfo, decode, layout_beside

GOLDEN = Path(__file__).with_name("golden") / "attributes-v1.json"
CASES: dict[str, Attributes] = {
    "empty": Attributes(),
    "headers and metadata": Attributes(
        {"content-type": "text/plain", "content-disposition": 'attachment; filename="café €.txt"'},
        {"mtime": "1700000000.5", "empty": "", "ünïcode": "ä\u20ac\U0001f600"},
    ),
    "checksum": Attributes(checksum=Checksum("CRC32", "AAAAAA==")),
    "composite with parts": Attributes(
        checksum=Checksum("SHA256", "uWBwpe1dxI4Vw8Gf0X9ynOdw/SS6VBzfWm9giiv1sf4=-2", "COMPOSITE"),
        parts=(PartInfo(1, 5 << 20, "275VF5loJr1YYawit0XSHREhkFXYkkPKGuoK0x9VKxI="), PartInfo(7, 3)),
    ),
    "upload": Attributes({"content-type": "a/b"}, checksum=Checksum("CRC64NVME", ""), storage_class="STANDARD_IA"),
    "layout": Attributes(parts=(PartInfo(1, 10), PartInfo(2, 5)), layout="3,7,5"),
}


def golden() -> dict[str, str]:
    cases: dict[str, str] = json.loads(GOLDEN.read_text())
    return cases


def test_the_golden_file_has_every_case() -> None:
    assert golden().keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_format_1_is_read_and_written_as_ever(name: str) -> None:
    kept = bytes.fromhex(golden()[name])
    assert decode(kept) == CASES[name]
    assert CASES[name].encode() == kept


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.builds(
        Attributes,
        st.dictionaries(texts, texts, max_size=3),
        st.dictionaries(texts, texts, max_size=3),
        st.none() | st.builds(Checksum, texts, texts, texts),
        st.lists(st.builds(PartInfo, st.integers(1, 10_000), st.integers(0, 1 << 40), texts), max_size=3).map(tuple),
        texts,
        texts,
    )
)
def test_round_trip(attributes: Attributes) -> None:
    assert decode(attributes.encode()) == attributes


def test_nothing_takes_one_byte() -> None:
    assert Attributes().encode() == FORMAT
    assert decode(FORMAT) is EMPTY


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x02{}", b"{}", b"\x01[", b"\x01\xff"])
def test_unknown_formats_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


@pytest.mark.parametrize(
    ("part_sizes", "segment_sizes", "expected"),
    [
        ((), (5,), ""),
        ((), (5, 5), "5*2"),
        ((5, 3), (5, 3), ""),
        ((8,), (5, 3), "5,3"),
        ((5, 3), (8,), ""),
        ((5, 0), (5, 0), ""),
    ],
)
def test_layout_beside(part_sizes: tuple[int, ...], segment_sizes: tuple[int, ...], expected: str) -> None:
    parts = [PartInfo(number, size) for number, size in enumerate(part_sizes, 1)]
    assert layout_beside(parts, segment_sizes) == expected
