from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyxcloud.core.ids import BlobId, ShardId
from cyxcloud.wire.orders import decode_order
from cyxcloud.wire.status import Status
from nodefs.folder import FolderUnusable, adopt, open_folder, read_marker
from nodefs.pack import pack_page
from nodefs.provision import create_node
from tests.unit.nodefs.making import CLUSTER, COORDINATOR_PUBLIC, INCARNATION, UNSYNCED, OneNode, pieces, signed_order

SMALL = pieces(6556)
RECORD = 8192
FIRST = 4096
BLOB = 7 << 32 | 1


@pytest.fixture
def node(tmp_path: Path) -> OneNode:
    made = OneNode(tmp_path / "n1")
    assert made.put(SMALL, BLOB, count=3) == [Status.OK] * 3
    return made


def write_at(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def held(node: OneNode, count: int = 3) -> list[bool]:
    return [node.read(BLOB, index=index) == SMALL.payloads[index] for index in range(count)]


def counters(node: OneNode) -> tuple[int, int]:
    return node.store.live_count, node.store.live_bytes


def test_kill_without_checkpoint_keeps_all_that_was_acknowledged(node: OneNode) -> None:
    node.reopen()
    assert held(node) == [True] * 3
    assert node.findings.recovered == 3
    assert counters(node) == (3, 3 * RECORD)
    node.reopen()
    assert node.findings.recovered == 0
    assert counters(node) == (3, 3 * RECORD)


def test_kill_after_a_checkpoint_reads_only_what_came_after(node: OneNode) -> None:
    node.store.checkpoint()
    node.put(SMALL, BLOB + 1)
    node.reopen()
    assert node.findings.recovered == 1
    assert counters(node) == (4, 4 * RECORD)


@pytest.mark.parametrize("torn", [1, 100, 4096, 5000, 8191])
def test_torn_tail_is_cut_and_written_over(node: OneNode, torn: int) -> None:
    whole = node.pack.read_bytes()
    write_at(node.pack, len(whole), whole[FIRST : FIRST + torn])
    node.reopen()
    assert node.findings.cut_bytes == torn
    assert node.pack.stat().st_size == len(whole)
    assert held(node) == [True] * 3
    assert node.put(SMALL, BLOB + 1) == [Status.OK]
    node.reopen()
    assert node.read(BLOB + 1) == SMALL.payloads[0]


def test_whole_header_with_torn_payload_at_the_end_is_cut(node: OneNode) -> None:
    write_at(node.pack, FIRST + 2 * RECORD + 5000, bytes(3000))
    node.reopen()
    assert held(node) == [True, True, False]
    assert node.findings.cut_bytes == RECORD
    assert node.read(BLOB, index=2) is Status.NOT_FOUND


def test_torn_record_before_a_good_one_is_quarantined_for_good(node: OneNode) -> None:
    write_at(node.pack, FIRST + RECORD + 5000, bytes(3000))
    for _ in range(2):
        node.reopen()
        assert held(node) == [True, False, True]
        assert node.pack.stat().st_size == FIRST + 3 * RECORD
        node.store.folder.index.unlink()
    node.reopen()
    assert counters(node) == (2, 2 * RECORD)


def test_zeros_at_the_end_are_cut(node: OneNode) -> None:
    write_at(node.pack, FIRST + 3 * RECORD, bytes(20_000))
    node.reopen()
    assert held(node) == [True] * 3
    assert node.findings.cut_bytes == 20_000


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_behind_the_index_loses_only_what_it_hit(tmp_path: Path, data: st.DataObject) -> None:
    shutil.rmtree(tmp_path / "n1", ignore_errors=True)
    node = OneNode(tmp_path / "n1")
    node.put(SMALL, BLOB, count=4)
    at = data.draw(st.integers(0, 4 * RECORD - 1))
    length = data.draw(st.integers(1, 4 * RECORD - at))
    write_at(node.pack, FIRST + at, data.draw(st.sampled_from([bytes(length), b"\xff" * length])))
    node.reopen()
    for index in range(4):
        hit = at < (index + 1) * RECORD and at + length > index * RECORD
        assert hit or node.read(BLOB, index=index) == SMALL.payloads[index]
        found = node.read(BLOB, index=index)
        assert found in (SMALL.payloads[index], Status.NOT_FOUND, Status.CORRUPT)
    assert node.put(SMALL, BLOB + 1) == [Status.OK]


@pytest.mark.parametrize("damage", ["lost", "garbage", "older packs", "other version"])
def test_index_is_made_again_from_the_packs(node: OneNode, damage: str) -> None:
    node.delete(ShardId(BlobId(BLOB), 0, 1))
    node.store.checkpoint()
    path = node.store.folder.index
    if damage == "lost":
        path.unlink()
    elif damage == "garbage":
        node.abandon()
        path.write_bytes(b"not a database at all" * 500)
        node.open()
        assert node.findings.rebuilt
        return
    elif damage == "older packs":
        node.put(SMALL, BLOB + 1)
        node.store.checkpoint()
        with node.pack.open("r+b") as file:
            file.truncate(FIRST + 3 * RECORD)
    else:
        node.store.index._db.execute("PRAGMA user_version=99")
    node.reopen()
    assert node.findings.rebuilt
    assert held(node) == [True, False, True]
    assert counters(node) == (2, 2 * RECORD)


def test_delete_logged_but_not_carried_out_is_done_at_the_next_start(node: OneNode) -> None:
    node.store.checkpoint()
    order, signature = signed_order(node.store.node_id, [ShardId(BlobId(BLOB), 0, 0)], node.clock.now_ms())
    node.store.orders.append(decode_order(order), order, signature)
    node.reopen()
    assert held(node) == [False, True, True]
    assert node.findings.redone == 1
    assert counters(node) == (2, 2 * RECORD)


def test_delete_after_the_checkpoint_is_remembered_by_counters(node: OneNode) -> None:
    node.store.checkpoint()
    node.delete(ShardId(BlobId(BLOB), 0, 0))
    node.reopen()
    assert held(node) == [False, True, True]
    assert counters(node) == (2, 2 * RECORD)


def test_order_answered_before_the_crash_does_not_take_what_was_put_since(node: OneNode) -> None:
    node.store.checkpoint()
    job = node.delete(ShardId(BlobId(BLOB), 0, 0))
    assert node.put(SMALL, BLOB) == [Status.OK]
    node.reopen()
    assert held(node) == [True] * 3
    assert counters(node) == (3, 3 * RECORD)
    assert node.carry_out(job.order, job.signature).answer == job.answer
    assert held(node) == [True] * 3


def test_order_that_was_cut_short_by_a_crash_is_answered_when_it_comes_again(node: OneNode) -> None:
    node.store.checkpoint()
    order, signature = signed_order(node.store.node_id, [ShardId(BlobId(BLOB), 0, 0)], node.clock.now_ms())
    node.store.orders.append(decode_order(order), order, signature)
    node.reopen()
    assert node.put(SMALL, BLOB) == [Status.OK]
    answer = node.carry_out(order, signature).answer
    assert answer is not None
    assert answer.statuses == [Status.OK]
    assert held(node) == [True] * 3


def test_replay_is_told_after_the_log_rolled(node: OneNode) -> None:
    node.store.orders._max_bytes = 100
    jobs = [node.delete(ShardId(BlobId(BLOB), 0, index)) for index in range(3)]
    node.put(SMALL, BLOB, count=3)
    node.store.orders._roll()  # as for an order that was never answered
    node.reopen()
    assert node.carry_out(jobs[2].order, jobs[2].signature).answer == jobs[2].answer
    for job in jobs[:2]:
        again = node.carry_out(job.order, job.signature)
        assert (again.answer, again.status) == (None, Status.DENIED)
    assert held(node) == [True] * 3


def test_order_log_of_the_first_version_is_carried_out_and_put_aside(node: OneNode) -> None:
    node.store.checkpoint()
    order, signature = signed_order(node.store.node_id, [ShardId(BlobId(BLOB), 0, 0)], node.clock.now_ms())
    log = node.store.folder.orders
    entry = struct.pack(">III", len(order), len(signature), zlib.crc32(order + signature)) + order + signature
    log.write_bytes(struct.pack(">8sQ", b"CyxOrdr1", 1) + entry)
    node.reopen()
    assert held(node) == [False, True, True]
    assert log.read_bytes().startswith(b"CyxOrdr2")
    assert log.with_name("orders.1.log").read_bytes().startswith(b"CyxOrdr1")
    node.sequence = 1
    assert node.delete(ShardId(BlobId(BLOB), 0, 1)).statuses == [Status.OK]


def test_torn_order_is_cut(node: OneNode) -> None:
    node.delete(ShardId(BlobId(BLOB), 0, 0))
    log = node.store.folder.orders
    size = log.stat().st_size
    write_at(log, size, b"\x00\x00\x00\x20\x00\x00\x00\x40torn")
    node.reopen()
    assert log.stat().st_size == size
    assert node.delete(ShardId(BlobId(BLOB), 0, 1)).statuses == [Status.OK]


def test_order_log_rolls_and_keeps_one_before(node: OneNode) -> None:
    node.store.orders._max_bytes = 300
    for index in range(3):
        node.delete(ShardId(BlobId(BLOB), 0, index))
    assert node.store.folder.orders.with_name("orders.1.log").exists()
    node.reopen()
    assert counters(node) == (0, 0)
    assert held(node) == [False] * 3


def test_second_copy_of_a_shard_is_marked(node: OneNode) -> None:
    whole = node.pack.read_bytes()
    write_at(node.pack, len(whole), whole[FIRST : FIRST + RECORD])
    node.reopen()
    assert counters(node) == (3, 3 * RECORD)
    node.delete(ShardId(BlobId(BLOB), 0, 0))
    node.store.folder.index.unlink()
    node.reopen()
    assert held(node) == [False, True, True]


def test_foreign_and_torn_packs_are_set_aside(node: OneNode) -> None:
    packs = node.store.folder.packs
    (packs / "00000002.pack").write_bytes(pack_page(2, bytes(32)))  # type: ignore[arg-type]
    (packs / "00000003.pack").write_bytes(b"")
    node.reopen()
    assert len(node.findings.foreign) == 2
    assert held(node) == [True] * 3
    assert {path.name for path in node.store.folder.quarantine.iterdir()} == {"00000002.pack", "00000003.pack"}


def test_folder_is_made_once(tmp_path: Path) -> None:
    node_id = create_node(tmp_path / "n", "n", CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    with pytest.raises(FileExistsError):
        create_node(tmp_path / "n", "n", CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    assert open_folder(tmp_path / "n").identity.node_id == node_id


@pytest.mark.parametrize(
    "missing", ["node.json", "identity/private_key.pem", "identity/node_id", "config.toml", "data/packs"]
)
def test_incomplete_folder_is_refused_and_left_alone(tmp_path: Path, missing: str) -> None:
    create_node(tmp_path / "n", "n", CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    path = tmp_path / "n" / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(FolderUnusable):
        open_folder(tmp_path / "n")
    assert not path.exists()


def test_another_nodes_identity_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        create_node(tmp_path / name, name, CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    shutil.rmtree(tmp_path / "a" / "identity")
    shutil.copytree(tmp_path / "b" / "identity", tmp_path / "a" / "identity")
    with pytest.raises(FolderUnusable, match="different nodes"):
        open_folder(tmp_path / "a")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 2}', '{"format": 1, "name": 3}'])
def test_malformed_marker_is_refused(tmp_path: Path, text: str) -> None:
    create_node(tmp_path / "n", "n", CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    (tmp_path / "n" / "node.json").write_text(text)
    with pytest.raises(FolderUnusable):
        open_folder(tmp_path / "n")


def test_adopt_changes_only_the_incarnation(tmp_path: Path) -> None:
    create_node(tmp_path / "n", "n", CLUSTER, INCARNATION, COORDINATOR_PUBLIC, disk=UNSYNCED)
    before = read_marker(tmp_path / "n")
    adopt(tmp_path / "n", b"incarnation-two!")
    after = open_folder(tmp_path / "n").marker
    assert after.incarnation == b"incarnation-two!"
    assert after.node_id == before.node_id
