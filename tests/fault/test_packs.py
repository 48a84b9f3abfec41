"""A node's packs, order log, index and folder under a disk that fails or loses power at every operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cyxcloud.core.ids import BlobId, ShardId
from cyxcloud.wire.status import Status
from nodefs.folder import FolderUnusable, open_folder
from nodefs.provision import create_node
from tests.fault.faultdisk import FaultDisk
from tests.fault.sweep import Case, crash_everywhere, fail_everywhere
from tests.unit.nodefs.making import CLUSTER, COORDINATOR_PUBLIC, INCARNATION, OneNode, pieces

SIZES = (100, 30_000, 70_000, 5_000, 140_000)
OLD = range(1, 5)
NEW = range(10, 10 + 2 * len(SIZES))
# Packs of a test roll after a few shards.
PACK_BYTES = 200_000
INDEX = ("one/metadata/*", "one/data/orders*")


@dataclass(slots=True)
class Promise:
    """What the node answered."""

    stored: set[int] = field(default_factory=lambda: set(OLD))
    deleted: set[int] = field(default_factory=set)
    asked: set[int] = field(default_factory=set)  # to be deleted, perhaps without an answer


def made(blob: int) -> bytes:
    return pieces(SIZES[blob % len(SIZES)], 1, blob).payloads[0]


@contextmanager
def opened(path: Path, disk: FaultDisk | None = None) -> Iterator[OneNode]:
    node = OneNode(path) if disk is None else OneNode(path, disk)
    node.store._max_pack_bytes = PACK_BYTES
    try:
        yield node
    finally:
        node.abandon()


def put(node: OneNode, blob: int) -> bool:
    return node.put(pieces(SIZES[blob % len(SIZES)], 1, blob), blob) == [Status.OK]


def prepare(root: Path) -> None:
    """Some shards, and a torn tail, so that opening it has something to write."""
    with opened(root / "one") as node:
        assert all(put(node, blob) for blob in OLD)
        torn = node.pack
    with torn.open("ab") as file:
        file.write(torn.read_bytes()[4096:9000])


def work(disk: FaultDisk, promise: Promise) -> None:
    with opened(disk.root / "one", disk) as node:
        for blob in NEW:
            if put(node, blob) and not disk.lost:
                promise.stored.add(blob)
            if blob % 3 == 0:
                drop(node, disk, promise, blob - 9)


def drop(node: OneNode, disk: FaultDisk, promise: Promise, blob: int) -> None:
    promise.asked.add(blob)
    job = node.delete(ShardId(BlobId(blob), 0, 0))
    if job.answer is not None and job.statuses == [Status.OK] and not disk.lost:
        promise.deleted.add(blob)


def check(root: Path, promise: Promise) -> None:
    with opened(root / "one") as node:
        judge(node, promise)
        for blob in NEW:  # what was not answered is sent again
            if blob not in promise.asked:
                assert put(node, blob), blob
    for each in (root / "one" / "metadata").iterdir():
        each.unlink()
    again = Promise(promise.stored | (set(NEW) - promise.asked), promise.deleted, promise.asked)
    with opened(root / "one") as node:
        assert node.findings.rebuilt
        judge(node, again)


def judge(node: OneNode, promise: Promise) -> None:
    assert not node.store.down_reason
    for blob in (*OLD, *NEW):
        found = node.read(blob)
        if blob in promise.deleted:
            assert found is Status.NOT_FOUND, blob
        elif blob in promise.stored and blob not in promise.asked:
            assert found == made(blob), blob
        else:
            assert found in (Status.NOT_FOUND, made(blob)), (blob, found)


PACKS = Case(prepare, Promise, work, check, around=INDEX[:1])


@pytest.mark.parametrize(
    ("every", "seeds", "least"), [(6, 1, 30), pytest.param(1, 8, 200, marks=[pytest.mark.long])], ids=["sample", "all"]
)
def test_acknowledged_shards_are_there_wherever_the_power_goes(
    tmp_path: Path, every: int, seeds: int, least: int
) -> None:
    assert crash_everywhere(PACKS, tmp_path, every=every, seeds=seeds) >= least


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=[pytest.mark.long])], ids=["sample", "all"])
def test_acknowledged_shards_are_there_whichever_operation_fails(tmp_path: Path, every: int) -> None:
    """A node whose disk fails goes down; after the next start everything that it answered for is there."""
    assert fail_everywhere(PACKS, tmp_path, every=every) > 30


def provision(disk: FaultDisk, done: list[bool]) -> None:
    create_node(disk.root / "nodes" / "one", "one", CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=disk)
    done.append(True)


def whole_or_absent(root: Path, done: list[bool]) -> None:
    folder = root / "nodes" / "one"
    if done or folder.exists():
        assert open_folder(folder).marker.name == "one"
        return
    with pytest.raises(FolderUnusable):
        open_folder(folder)
    create_node(folder, "one", CLUSTER, INCARNATION, COORDINATOR_PUBLIC)
    open_folder(folder)


PROVISION: Case[list[bool]] = Case(lambda _: None, list, provision, whole_or_absent)


@pytest.mark.parametrize(
    ("every", "seeds"), [(3, 1), pytest.param(1, 8, marks=[pytest.mark.long])], ids=["sample", "all"]
)
def test_a_node_is_whole_or_absent_wherever_the_power_goes(tmp_path: Path, every: int, seeds: int) -> None:
    assert crash_everywhere(PROVISION, tmp_path, every=every, seeds=seeds) > 60


def test_a_node_is_whole_or_absent_whichever_operation_fails(tmp_path: Path) -> None:
    assert fail_everywhere(PROVISION, tmp_path, every=2) > 60
