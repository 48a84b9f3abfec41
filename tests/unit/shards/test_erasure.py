from __future__ import annotations

import hashlib
import itertools
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyxcloud.core.merkle import BLOCK_BYTES
from cyxcloud.shards import erasure
from cyxcloud.shards.erasure import Codec, codec, load_isal
from tests.unit.shards.rig import some_bytes

PROFILES = [(10, 4), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1), (1, 1)]

# SHA-256 of all payloads, one after the other, of some_bytes(100_000) per profile: format v1 of the codec.
GOLDEN = {
    (10, 4): "f77bfe0d3de11a9705e0afe36aa731d62b0b424f86210c22b153daf0b9df6f4e",
    (8, 4): "3a226ecf94d5baf46b2ecd056b730558ebddb150637eb7306aac85e797aa199f",
    (4, 4): "af8e7adc9042f83ea6b2d15da202f1cf6a0558663ff55966847c1528fa217b29",
    (4, 2): "a9491a4b78b51c35809ef157ba9434bd9bf9d8f5f62b6582ed80d15ac0066ce5",
    (2, 2): "a64c2757b896b08e9ef1f5b738fc296dfbf08c5f057815661eea44febb0e9f5d",
    (2, 1): "49af29e58ae829afe05f1f4588c92ddf58ca6f35dd74c750952269966fae16af",
    (1, 1): "e90e133856a2cd9a96bb9b41e84c2585ea3f9397aeb80332609ff71342d8e6f9",
}


@pytest.mark.parametrize("profile", PROFILES)
def test_golden_payloads(profile: tuple[int, int]) -> None:
    """Stored shards are these bytes: another matrix, padding or library default would make them unreadable."""
    payloads = codec(*profile).encode(some_bytes(100_000))
    assert hashlib.sha256(b"".join(payloads)).hexdigest() == GOLDEN[profile]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("size", [1, 9, 10, 11, 1000, 65_552, 400_001])
def test_data_shards_are_the_ciphertext_padded_with_zeros(profile: tuple[int, int], size: int) -> None:
    code, data = codec(*profile), some_bytes(size)
    payloads = code.encode(data)
    assert len(payloads) == code.total
    assert {len(payload) for payload in payloads} == {code.shard_size(size)}
    assert b"".join(payloads[: code.k]) == data.ljust(code.k * code.shard_size(size), b"\0")


def test_every_four_lost_shards_of_fourteen_come_back_identical() -> None:
    code, data = codec(10, 4), some_bytes(4321)
    payloads = code.encode(data)
    for lost in itertools.combinations(range(14), 4):
        left = {index: payload for index, payload in enumerate(payloads) if index not in lost}
        rebuilt = code.reconstruct(lost, left)
        assert all(rebuilt[index] == payloads[index] for index in lost)
        assert code.decode(left, len(data)) == data


@settings(max_examples=60)
@given(st.sampled_from(PROFILES), st.integers(1, 300_000), st.data())
def test_columns_rebuild_block_by_block(profile: tuple[int, int], size: int, data: st.DataObject) -> None:
    code = codec(*profile)
    payloads = code.encode(some_bytes(size))
    start = data.draw(st.integers(0, len(payloads[0]) - 1))
    end = data.draw(st.integers(start + 1, min(len(payloads[0]), start + 2 * BLOCK_BYTES)))
    order = data.draw(st.permutations(range(code.total)))
    kept, lost = order[: code.k], order[code.k :]
    rebuilt = code.reconstruct(lost, {index: payloads[index][start:end] for index in kept})
    assert {index: bytes(column) for index, column in rebuilt.items()} == {
        index: bytes(payloads[index][start:end]) for index in lost
    }


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("by", ["isal", "library"])
def test_parity_in_place_is_what_the_library_gives(
    profile: tuple[int, int], by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "library":
        monkeypatch.setattr(erasure, "_ISAL_NAMES", ())
    code = Codec(*profile)
    assert (code._isal is not None) is (by == "isal")
    for size in (1, 31, 6556):
        data = some_bytes(size * code.k)
        shards = memoryview(bytearray(some_bytes(size * code.total)))
        shards[: len(data)] = data
        code.add_parity(shards, size)
        assert shards == b"".join(code.encode(data))


def test_an_isal_that_codes_otherwise_is_not_used() -> None:
    isal = load_isal()
    assert isal is not None
    other = SimpleNamespace(
        gf_gen_cauchy1_matrix=isal.gf_gen_rs_matrix,
        ec_init_tables=isal.ec_init_tables,
        ec_encode_data=isal.ec_encode_data,
    )
    assert Codec(10, 4)._checked_isal(other) is None  # type: ignore[arg-type]


def test_too_few_columns_are_refused() -> None:
    code = codec(10, 4)
    payloads = dict(enumerate(code.encode(some_bytes(1000))))
    for index in range(5):
        del payloads[index]
    with pytest.raises(ValueError, match="9 columns"):
        code.decode(payloads, 1000)


def test_nothing_wanted_needs_nothing() -> None:
    assert codec(10, 4).reconstruct([], {}) == {}


def test_a_header_is_what_the_library_itself_writes() -> None:
    code = Codec(10, 4)
    for size in (7, 1000, 65_552):
        fragments = code._driver.encode(some_bytes(size))
        length = len(fragments[0]) - 80
        padded = code._driver.encode(some_bytes(length * 10))
        assert [fragment[:80] for fragment in padded] == [code._header(index, length) for index in range(14)]


def test_a_library_with_another_header_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    code = Codec(10, 4)
    monkeypatch.setattr(Codec, "_header", lambda *_: bytes(80))
    with pytest.raises(RuntimeError, match="fragment header"):
        code._checked_template()
