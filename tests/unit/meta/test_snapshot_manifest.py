"""The manifest's format, and which groups a snapshot writes."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import BlobId
from cyxcloud.meta.snapshot_manifest import (
    GROUP_BYTES,
    SUMMARY_BYTES,
    Group,
    Manifest,
    ManifestDamaged,
    SnapshotBlob,
    Summary,
    content_hash,
    group_hash,
    padded_groups,
    read_summary,
)
from cyxcloud.meta.snapshot_plan import plan_snapshot


def hashed(content: int) -> bytes:
    return bytes([content]) * 32


def blob(number: int, groups: int) -> SnapshotBlob:
    size = groups * GROUP_BYTES
    return SnapshotBlob(BlobId(number), size, 10, 4, 1, b"w" * 40, b"delta/%d" % number, (hashed(number),) * 2)


def manifest(blobs: list[SnapshotBlob], places: list[tuple[int, int, int]], sequence: int = 3) -> Manifest:
    """`places`: (blob, group in it, content) for each group of the file."""
    groups = tuple(Group(of, at, hashed(content)) for of, at, content in places)
    whole = content_hash([group.hash for group in groups])
    size = len(groups) * GROUP_BYTES - 100
    return Manifest(Summary(b"c" * 16, b"i" * 16, sequence, 1234, size, 4096, whole), tuple(blobs), groups)


SAMPLE = manifest([blob(1, 3), blob(2, 1)], [(0, 0, 10), (1, 0, 21), (0, 2, 12)])


def test_decode_manifest_gives_back_what_was_encoded() -> None:
    assert Manifest.decode(SAMPLE.encode()) == SAMPLE
    assert SAMPLE.live_groups() == [2, 1]


def test_read_summary_needs_the_beginning_only() -> None:
    assert read_summary(SAMPLE.encode()[:SUMMARY_BYTES]) == SAMPLE.summary


def test_decode_manifest_cut_or_changed_is_refused() -> None:
    encoded = SAMPLE.encode()
    for at in range(0, len(encoded), 7):
        changed = bytearray(encoded)
        changed[at] ^= 1
        for bad in (encoded[:at], bytes(changed)):
            with pytest.raises(ManifestDamaged):
                Manifest.decode(bad)


def test_encode_manifest_is_the_format_on_disk() -> None:
    assert (
        hashlib.sha256(SAMPLE.encode()).hexdigest()
        == "8fbab58c86c09d0a612c363dbb971c367fd9344dfee856d3294252a3d2de13b0"
    )


def test_padded_groups_fill_the_last_one() -> None:
    data = bytes(range(256)) * 300
    groups = [bytes(group) for group in padded_groups(memoryview(data))]
    assert [len(group) for group in groups] == [GROUP_BYTES] * 2
    assert b"".join(groups).rstrip(b"\0") == data.rstrip(b"\0")
    assert group_hash(groups[0]) != group_hash(groups[1])


# What is written


def test_plan_without_a_snapshot_before_writes_everything() -> None:
    plan = plan_snapshot(None, [hashed(n) for n in range(3)])
    assert plan.written == (0, 1, 2)
    assert plan.kept == ()


def test_plan_writes_what_changed_and_drops_blobs_with_nothing_left() -> None:
    plan = plan_snapshot(SAMPLE, [hashed(10), hashed(99), hashed(12), hashed(30)])
    assert plan.written == (1, 3)
    assert plan.kept == (blob(1, 3),)
    assert plan.places == (Group(0, 0, hashed(10)), None, Group(0, 2, hashed(12)), None)


def test_plan_of_a_shorter_file_forgets_its_end() -> None:
    plan = plan_snapshot(SAMPLE, [hashed(10)])
    assert plan.written == (0,)  # of four groups on the nodes one would live on, in a blob of three
    assert plan.kept == ()


def test_plan_rewrites_the_emptiest_blob_when_the_dead_outnumber_the_live() -> None:
    before = manifest([blob(1, 10), blob(2, 2)], [(0, 0, 1), (0, 1, 2), (1, 0, 3), (1, 1, 4)])
    plan = plan_snapshot(before, [hashed(n) for n in (1, 2, 3, 4)])
    assert plan.kept == (blob(2, 2),)
    assert plan.written == (0, 1)
    assert plan.places[2:] == (Group(0, 0, hashed(3)), Group(0, 1, hashed(4)))


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), min_size=1, max_size=12))
def test_plan_always_covers_the_file_and_bounds_what_is_dead(versions: list[list[int]]) -> None:
    """A file of a few groups, changed at random again and again; groups are told apart by their hash."""
    before: Manifest | None = None
    store: dict[int, list[bytes]] = {}
    for number, contents in enumerate(versions, start=1):
        hashes = [hashed(content) for content in contents]
        plan = plan_snapshot(before, hashes)
        blobs = list(plan.kept)
        if plan.written:
            store[number] = [hashes[at] for at in plan.written]
            blobs.append(blob(number, len(plan.written)))
        new = {at: Group(len(blobs) - 1, position, hashes[at]) for position, at in enumerate(plan.written)}
        groups = tuple(place or new[at] for at, place in enumerate(plan.places))
        size = len(groups) * GROUP_BYTES
        before = Manifest(Summary(b"", b"", number, 0, size, 0, content_hash(hashes)), tuple(blobs), groups)
        assert [store[blobs[group.blob].blob][group.at] for group in groups] == hashes
        stored = sum(each.stored_groups for each in blobs)
        assert stored - len(groups) <= len(groups)
        assert all(before.live_groups())
