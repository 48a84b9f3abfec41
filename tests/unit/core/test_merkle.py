from __future__ import annotations

from cyxcloud.core.merkle import leaf_hash, leaf_hash_within


def test_leaf_within_a_buffer_is_the_leaf_and_leaves_the_buffer_as_it_was() -> None:
    data = bytearray(range(256)) * 300
    before = bytes(data)
    for start, end in ((1, 2), (7, 65_543), (4096, 69_632), (70_000, 76_800)):
        assert leaf_hash_within(memoryview(data), start, end) == leaf_hash(before[start:end])
    assert data == before
