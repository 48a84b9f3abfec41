from __future__ import annotations

import base64
from typing import Any

import cid as py_cid
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from cyxcloud.shards import cid as ours
from cyxcloud.shards.cid import (
    CidBuilder,
    LayoutError,
    SegmentCid,
    chunks_cid,
    cid_text,
    format_layout,
    object_cid,
    parse_cid,
    parse_layout,
    raw_cid,
)
from cyxcloud.shards.frames import CHUNK_BYTES
from tests.unit.shards.rig import some_bytes

# RFC 8949, appendix A.
RFC_8949_INTEGERS = {
    0: "00", 1: "01", 10: "0a", 23: "17", 24: "1818", 25: "1819", 100: "1864", 1000: "1903e8",
    1_000_000: "1a000f4240", 1_000_000_000_000: "1b000000e8d4a51000", 18446744073709551615: "1bffffffffffffffff",
}  # fmt: skip

GOLDEN_TEXT = {
    "empty": "bafyr4igr5xm3b4u2y7hyjdhy4o7qmiybvubhkl43zvxknwtdmkanxbobzm",
    "hello": "bafyr4icgk3grzxawoulo34v5knolv3cft5my47eqpmqiavqrchwzrnauay",
    "two chunks": "bafyr4ic44omaykhvkudxmjombwujf67hzffl4lwqokozs3sw4pisnoku2y",
}


class Cbor:
    """A reader of the CBOR that a DAG-CBOR map of ours may use, written apart from the writer."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        self.at += size
        assert self.at <= len(self.data)
        return self.data[self.at - size : self.at]

    def read(self) -> Any:
        (first,) = self.take(1)
        major, value = first >> 5, first & 31
        if value >= 24:
            size = 1 << (value - 24)
            value = int.from_bytes(self.take(size), "big")
            assert value >= (24 if size == 1 else 1 << 4 * size), "integer not in its shortest form"
        if major == 0:
            return value
        if major == 2:
            return self.take(value)
        if major == 3:
            return self.take(value).decode()
        if major == 4:
            return [self.read() for _ in range(value)]
        if major == 5:
            pairs = [(self.read(), self.read()) for _ in range(value)]
            keys = [key for key, _ in pairs]
            assert keys == sorted(keys, key=lambda key: (len(key), key.encode())), "keys out of DAG-CBOR's order"
            return dict(pairs)
        assert (major, value) == (6, 42)
        link = self.read()
        assert link[0] == 0
        return ("link", link[1:])


def hashed_bytes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The block that the next CID is the hash of."""
    seen: list[bytes] = []

    def recording(data: bytes) -> Any:
        seen.append(data)
        return blake3(data)

    monkeypatch.setattr(ours, "blake3", recording)
    return seen


@pytest.mark.parametrize(("value", "encoded"), RFC_8949_INTEGERS.items())
def test_integers_as_in_rfc_8949(value: int, encoded: str) -> None:
    assert ours._head(0, value).hex() == encoded


def test_block_is_the_designs_map(monkeypatch: pytest.MonkeyPatch) -> None:
    size = CHUNK_BYTES + 7
    digests = [b"\x01" * 32, b"\x02" * 32]
    seen = hashed_bytes(monkeypatch)
    chunks_cid(size, digests)
    reader = Cbor(seen[0])
    assert reader.read() == {
        "v": 1,
        "kind": "chunks",
        "size": size,
        "chunk_size": 4194304,
        "links": [
            {"cid": ("link", raw_cid(digests[0])), "size": CHUNK_BYTES},
            {"cid": ("link", raw_cid(digests[1])), "size": 7},
        ],
    }
    assert reader.at == len(seen[0])


def test_object_links_its_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    segments = [(chunks_cid(5, [bytes(32)]), 5), (chunks_cid(0, []), 0)]
    seen = hashed_bytes(monkeypatch)
    object_cid(segments)
    block = Cbor(seen[0]).read()
    assert (block["kind"], block["size"]) == ("segments", 5)
    assert block["links"] == [{"cid": ("link", cid), "size": size} for cid, size in segments]


def test_text_is_what_py_cid_makes_of_it() -> None:
    cid = chunks_cid(5, [blake3(b"hello").digest()])
    other = py_cid.from_bytes(cid)
    assert (other.version, other.codec, other.multihash[:2].hex()) == (1, "dag-cbor", "1e20")
    assert other.encode("base32").decode() == cid_text(cid)
    assert py_cid.make_cid(cid_text(cid)).buffer == cid
    assert py_cid.from_bytes(raw_cid(bytes(32))).codec == "raw"
    assert cid_text(cid).startswith("bafyr4i")


def test_raw_cid_of_known_bytes() -> None:
    """The published CID of the empty block: raw codec, BLAKE3-256, base32."""
    digest = bytes.fromhex("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262")
    assert blake3(b"").digest() == digest
    assert cid_text(raw_cid(digest)) == "b" + base64.b32encode(b"\x01\x55\x1e\x20" + digest).decode().lower().rstrip(
        "="
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [("empty", b""), ("hello", b"hello"), ("two chunks", bytes(range(256)) * 16384 + b"tail")],
)
def test_golden_texts(name: str, data: bytes) -> None:
    builder = CidBuilder()
    builder.update(data)
    assert cid_text(builder.finish()) == GOLDEN_TEXT[name]


@settings(max_examples=30)
@given(st.integers(0, 3 * CHUNK_BYTES), st.lists(st.integers(1, 2 * CHUNK_BYTES), max_size=6))
def test_pieces_do_not_matter(size: int, cuts: list[int]) -> None:
    data = bytes(size)
    expected = chunks_cid(size, [blake3(data[at : at + CHUNK_BYTES]).digest() for at in range(0, size, CHUNK_BYTES)])
    segment, rest = SegmentCid(), memoryview(data)
    for cut in cuts:
        segment.update(rest[:cut])
        rest = rest[cut:]
    segment.update(rest)
    assert segment.finish() == expected


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=8), st.integers(1, 999))
def test_layout_cuts_segments(layout: list[int], step: int) -> None:
    data = some_bytes(sum(layout))
    builder = CidBuilder(layout)
    for at in range(0, len(data), step):
        builder.update(data[at : at + step])
    segments, at = [], 0
    for size in layout:
        piece = data[at : at + size]
        segments.append((chunks_cid(size, [blake3(piece).digest()] if piece else []), size))
        at += size
    assert builder.finish() == object_cid(segments)


@pytest.mark.parametrize(("layout", "size"), [([5], 4), ([5], 6), ([2, 3], 6), ([2, 3], 4), ([2, 3], 1)])
def test_layout_of_another_size_is_refused(layout: list[int], size: int) -> None:
    builder = CidBuilder(layout)
    with pytest.raises(LayoutError):
        builder.update(bytes(size))
        builder.finish()


def test_layout_may_end_in_empty_parts_only() -> None:
    builder = CidBuilder([3, 0])
    builder.update(b"abc")
    assert builder.finish() == object_cid([(chunks_cid(3, [blake3(b"abc").digest()]), 3), (chunks_cid(0, []), 0)])
    for layout in ([3, 0, 1], [3, 2]):
        builder = CidBuilder(layout)
        builder.update(b"abc")
        with pytest.raises(LayoutError):
            builder.finish()


@given(st.lists(st.integers(0, 5 << 40), min_size=1, max_size=50))
def test_layout_text_round_trip(sizes: list[int]) -> None:
    assert parse_layout(format_layout(sizes)) == sizes


def test_layout_text_is_run_length_coded() -> None:
    assert format_layout([16777216] * 63 + [5242880]) == "16777216*63,5242880"
    assert len(parse_layout("16777216*63,5242880")) == 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "5*",
        "*5",
        "5*0",
        "-1",
        "05",
        "5,",
        "1*10001",
        "1*9999,1*2",
        "٣",
        "1" * 14,
        "5497558138881",
        "1," * 300_000,
    ],
)
def test_layout_text_that_is_none(text: str) -> None:
    with pytest.raises(LayoutError):
        parse_layout(text)


def test_parse_cid_takes_only_its_own_text() -> None:
    text = cid_text(chunks_cid(0, []))
    assert cid_text(parse_cid(text)) == text
    for other in ("", text[:-1], text + "a", text.upper(), "z" + text[1:], text[:-1] + "1", "b" + "a" * 58):
        with pytest.raises(ValueError):
            parse_cid(other)
