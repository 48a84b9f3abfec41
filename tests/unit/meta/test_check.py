"""A whole store has nothing wrong; each kind of damage is found, and mended where the rest tells what is right."""

from __future__ import annotations

from functools import partial

import pytest

from cyxcloud.core.ids import AccountId, BlobId, NodeId, NodeNumber, PlacementId, SessionNumber, UploadId, VersionId
from cyxcloud.meta import (
    accounts,
    blobs,
    check,
    cluster,
    heads,
    nodes,
    parts,
    placements,
    repairs,
    sessions,
    uploads,
    usage,
    versions,
)
from cyxcloud.meta.check import Context, Finding, Kind
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import (
    AccountRow,
    BlobRow,
    ChunkRow,
    ClusterRow,
    NewPart,
    NewUpload,
    NewVersion,
    NodeRow,
    PlacementRow,
    PlacementState,
    RepairRow,
    SegmentRow,
)
from cyxcloud.meta.statement import SQLITE
from cyxcloud.meta.writer import Writer
from cyxcloud.shards.frames import CHUNK_BYTES, BlobCipher
from tests.unit.meta.build import ACCOUNT, BUCKET, DUE_MS, add_bucket, new_version, segment

SESSION = SessionNumber(3)
CONTEXT = Context(frozenset({1}), DUE_MS)
BIG = CHUNK_BYTES + 1000


def made(counter: int) -> int:
    return SESSION << 32 | counter


def add_inline(conn: Connection, counter: int, size: int) -> SegmentRow:
    blobs.insert_inline(conn, BlobId(made(counter)), bytes(size + 16))
    return segment(made(counter), size)


def add_chunked(conn: Connection, counter: int) -> SegmentRow:
    row = BlobRow(BlobId(made(counter)), 1, BIG, 2, 1, 1, 2)
    blobs.insert_chunked(conn, row, [ChunkRow(n, bytes([n]) * 32, PlacementId(1)) for n in range(2)])
    return segment(made(counter), BIG)


def put(conn: Connection, new: NewVersion) -> None:
    """As objects/put.py does it."""
    replaced = versions.insert_current(conn, new, heads.lock(conn, new.bucket, new.key).head)
    objects, size = 1, new.size
    if replaced is not None:
        blobs.release(conn, replaced.segments, DUE_MS)
        objects, size = objects - 1, size - replaced.version.size
    usage.add(conn, new.bucket, new.id, objects=objects, size_bytes=size)


def remove(conn: Connection, key: bytes, counter: int) -> None:
    head = heads.lock(conn, BUCKET, key).head
    assert head is not None
    removed = versions.remove(conn, BUCKET, head, VersionId(made(counter)))
    assert removed is not None
    blobs.release(conn, removed.segments, DUE_MS)
    usage.add(conn, BUCKET, made(counter + 500), objects=-1, size_bytes=-removed.version.size)


def frame(conn: Connection) -> None:
    """What is there before the first object."""
    cluster.create(conn, ClusterRow(b"c" * 16, b"i" * 16, 1, 0))
    accounts.create(conn, AccountRow(AccountId(ACCOUNT), "canonical", "", "", True, 1))
    sessions.create(conn, SESSION, "gateway", 1)
    for number in (1, 2, 3, 4):
        nodes.upsert(
            conn,
            NodeRow(
                NodeNumber(number), NodeId(bytes([number]) * 32), f"n{number}", "", "", "", "", "", "up", "",
                0, 0, 0, 0, 0, 0,
            ),
        )  # fmt: skip
    members = (NodeNumber(1), NodeNumber(2), NodeNumber(3))
    placements.add(conn, [PlacementRow(PlacementId(1), 2, 1, members, PlacementState.OPEN, None)])
    add_bucket(conn)


def fill(conn: Connection) -> None:
    frame(conn)
    put(conn, new_version(made(10), b"inline", add_inline(conn, 11, 100)))
    big = add_chunked(conn, 21)
    put(conn, new_version(made(20), b"big", big))
    pieces = (big, big._replace(offset=5, length=100), add_inline(conn, 31, 50), big._replace(offset=9, length=1))
    blobs.share(conn, [piece for piece in pieces if piece.blob == big.blob])
    put(conn, new_version(made(30), b"pieces", *pieces))
    put(conn, new_version(made(40), b"empty", segment(0, 0)))
    put(conn, new_version(made(50), b"chain", add_inline(conn, 51, 10)))
    put(conn, new_version(made(52), b"chain", add_inline(conn, 53, 20), is_null=False))
    put(conn, new_version(made(54), b"chain", marker=True, is_null=False))
    put(conn, new_version(made(60), b"gone", add_chunked(conn, 61)))
    remove(conn, b"gone", 60)
    put(conn, new_version(made(70), b"overwritten", add_chunked(conn, 71)))
    put(conn, new_version(made(72), b"overwritten", add_chunked(conn, 73)))
    uploads.create(conn, NewUpload(UploadId(made(80)), BUCKET, b"up", ACCOUNT, 1, b""))
    blobs.share(conn, [big])
    for number, found in ((1, (add_inline(conn, 81, 10),)), (2, (add_chunked(conn, 82), big))):
        size = sum(each.length for each in found)
        parts.put(conn, NewPart(UploadId(made(80)), number, made(84 + number), size, "e", 1, b"", found))
    repairs.add(conn, [RepairRow(big.blob, 0, 1, "not written", 1)])
    usage.fold(conn, 4)


@pytest.fixture
def filled(writer: Writer, conn: Connection) -> Connection:
    writer.call(fill)
    return conn


def find(conn: Connection) -> list[Finding]:
    return check.run(conn, CONTEXT)


def rows(conn: Connection) -> dict[str, list[str]]:
    """What a repair has to bring back. Usage is compared folded, by the check itself."""
    return {
        name: sorted(map(repr, conn.driver.execute(f"SELECT * FROM {name}").fetchall()))
        for name in ("head", "version", "segment", "blob", "inline", "chunk", "deletion", "part", "repair")
    }


def test_constants_are_those_of_the_data_layout() -> None:
    assert CHUNK_BYTES == 4194304
    assert len(BlobCipher(BlobId(1), bytes(32)).seal(0, b"abc")) == 3 + 16


def test_a_whole_store_has_nothing_wrong(filled: Connection) -> None:
    assert find(filled) == []
    assert check.counts(filled) == {"keys": 6, "versions": 8, "chunked_blobs": 5, "inline_blobs": 5, "chunks": 10}


def test_an_empty_store_has_nothing_wrong(conn: Connection) -> None:
    assert find(conn) == []


B = f"{made(21)}"
QUEUE = f"INSERT INTO deletion (blob, due_at_ms, size) VALUES ({B}, 1, 5)"
MENDED = [
    (f"UPDATE blob SET refs = 2 WHERE id = {B}", Kind.REFERENCES),
    (f"UPDATE blob SET refs = 9 WHERE id = {B}", Kind.REFERENCES),
    (f"UPDATE blob SET refs = 0 WHERE id = {B}; {QUEUE}", Kind.REFERENCES),
    (QUEUE, Kind.QUEUE),
    (f"UPDATE blob SET refs = 1 WHERE id = {made(61)}; DELETE FROM deletion WHERE blob = {made(61)}", Kind.REFERENCES),
    (f"DELETE FROM deletion WHERE blob = {made(61)}", Kind.QUEUE),
    ("INSERT INTO deletion (blob, due_at_ms, size) VALUES (77, 1, 5)", Kind.QUEUE),
    (f"UPDATE inline SET refs = 3 WHERE blob = {made(11)}", Kind.REFERENCES),
    (f"UPDATE inline SET refs = 0 WHERE blob = {made(11)}", Kind.REFERENCES),
    (f"UPDATE head SET size = 7 WHERE version = {made(20)}", Kind.HEAD),
    (f"UPDATE head SET etag = 'x' WHERE version = {made(20)}", Kind.HEAD),
    (f"UPDATE head SET live = 1 WHERE version = {made(54)}", Kind.HEAD),
    (f"UPDATE head SET version = {made(52)} WHERE version = {made(54)}", Kind.HEAD),
    (f"UPDATE head SET version = 12345 WHERE version = {made(54)}", Kind.HEAD),
    (f"UPDATE head SET next_seq = 1 WHERE version = {made(54)}", Kind.HEAD),
    (f"UPDATE head SET null_version = NULL WHERE version = {made(54)}", Kind.HEAD),
    (f"UPDATE head SET null_version = {made(52)} WHERE version = {made(54)}", Kind.HEAD),
    (f"DELETE FROM head WHERE version = {made(54)}", Kind.HEAD),
    ("UPDATE usage SET objects = objects + 1", Kind.USAGE),
    (f"INSERT INTO usage_delta VALUES ({BUCKET}, 999, 0, -5)", Kind.USAGE),
    ("INSERT INTO usage VALUES (4711, 1, 1)", Kind.USAGE),
    ("INSERT INTO repair VALUES (77, 0, 1, 'x', 1)", Kind.FLEET),
]


@pytest.mark.parametrize(("damage", "kind"), MENDED)
def test_damage_is_found_and_mended(writer: Writer, filled: Connection, damage: str, kind: Kind) -> None:
    before = rows(filled)
    for statement in damage.split("; "):
        writer.call(partial(Connection.script, text=statement))
    found = find(filled)
    assert {each.kind for each in found} == {kind}
    mended = [each.repair is not None and writer.call(each.repair) for each in found]
    assert any(mended)
    assert find(filled) == []
    after = rows(filled)
    if "deletion" in damage:  # it is due again by the check's own grace
        del after["deletion"], before["deletion"]
    assert after == before


TOLD = [
    (f"DELETE FROM blob WHERE id = {made(73)}", {Kind.BLOB_MISSING, Kind.CHUNKS}),
    (f"DELETE FROM inline WHERE blob = {made(11)}", {Kind.BLOB_MISSING}),
    (f"DELETE FROM chunk WHERE blob = {B} AND n = 0", {Kind.CHUNKS, Kind.FLEET}),
    (f"DELETE FROM chunk WHERE blob = {B} AND n = 1", {Kind.CHUNKS}),
    (f"UPDATE chunk SET n = 5 WHERE blob = {B} AND n = 1", {Kind.CHUNKS}),
    (f"UPDATE blob SET chunk_count = 3 WHERE id = {B}", {Kind.CHUNKS}),
    (f"UPDATE chunk SET placement = 9 WHERE blob = {B} AND n = 1", {Kind.CHUNKS}),
    (f"UPDATE blob SET k = 3 WHERE id = {B}", {Kind.CHUNKS}),
    (f"UPDATE version SET size = 7 WHERE id = {made(30)}", {Kind.VERSION, Kind.HEAD, Kind.USAGE}),
    (f"UPDATE version SET segment_count = 3 WHERE id = {made(30)}", {Kind.VERSION}),
    ("UPDATE part SET size = 7 WHERE number = 2", {Kind.UPLOAD}),
    ("DELETE FROM upload", {Kind.UPLOAD}),
    ("UPDATE upload SET state = 2, holder = 99", {Kind.UPLOAD}),
    (f"UPDATE version SET seg_key_id = 9 WHERE id = {made(20)}", {Kind.KEY}),
    (f"UPDATE version SET seg_mode = 2, seg_key_id = 1 WHERE id = {made(20)}", {Kind.KEY}),
    (f"UPDATE version SET seg_offset = 1 WHERE id = {made(20)}", {Kind.SEGMENT}),
    (f"UPDATE version SET seg_offset = 1 WHERE id = {made(10)}", {Kind.SEGMENT}),
    (f"UPDATE version SET is_null = 1 WHERE id = {made(52)}", {Kind.VERSION, Kind.HEAD}),
    ("DELETE FROM session", {Kind.SESSION}),
    ("DELETE FROM bucket", {Kind.BUCKET}),
    ("UPDATE bucket SET account = 99", {Kind.BUCKET}),
    ("INSERT INTO access_key VALUES ('A', 99, 'x', 1, 1, '')", {Kind.BUCKET}),
    ("DELETE FROM node WHERE number = 2", {Kind.PLACEMENT}),
    ("UPDATE placement SET successor = 5", {Kind.PLACEMENT}),
    ("INSERT INTO stray (node, blob, chunk, shard_index, due_at_ms) VALUES (9, 1, 1, 1, 1)", {Kind.FLEET}),
]


@pytest.mark.parametrize(("damage", "kinds"), TOLD)
def test_damage_that_nothing_tells_how_to_mend_is_found(
    writer: Writer, filled: Connection, damage: str, kinds: set[Kind]
) -> None:
    writer.call(lambda c: c.script(damage))
    assert {each.kind for each in find(filled)} == kinds
    assert any(each.repair is None for each in find(filled))


def test_a_node_twice_in_a_placement_is_found(writer: Writer, filled: Connection) -> None:
    packed = placements.pack_nodes((NodeNumber(1), NodeNumber(2), NodeNumber(3)))[:4] + b"\0\1"
    quoted = f"X'{packed.hex()}'" if filled.dialect == SQLITE else f"'\\x{packed.hex()}'"
    writer.call(lambda c: c.script(f"UPDATE placement SET nodes = {quoted}"))
    assert [each.problem for each in find(filled)] == ["names a node twice"]


def test_a_segment_of_nobody_is_found_and_dropped_with_its_reference(writer: Writer, filled: Connection) -> None:
    orphan = f"INSERT INTO segment SELECT 4711, 1, blob, 0, 5, dek, 1, 1, cid FROM segment WHERE blob = {B} LIMIT 1"
    before = rows(filled)
    for statement in (orphan, f"UPDATE blob SET refs = refs + 1 WHERE id = {B}"):
        writer.call(partial(Connection.script, text=statement))
    (found,) = find(filled)
    assert found.kind is Kind.SEGMENT
    assert found.repair is not None
    assert writer.call(found.repair)
    assert rows(filled) == before


def test_sessions_of_a_restored_store_are_not_asked_for(writer: Writer, filled: Connection) -> None:
    writer.call(lambda c: c.script("DELETE FROM session"))
    writer.call(lambda c: cluster.set_restored(c, b"j" * 16, 5))
    assert find(filled) == []


@pytest.mark.parametrize("stored", [1, 3, 9])
def test_references_are_mended_by_the_difference_whatever_changed_meanwhile(
    writer: Writer, filled: Connection, stored: int
) -> None:
    """Between the finding and its repair the blob is copied, or one of its objects goes."""
    writer.call(lambda c: c.script(f"UPDATE blob SET refs = {stored} WHERE id = {B}"))
    (found,) = find(filled)

    def copy(conn: Connection) -> None:
        blobs.share(conn, [segment(made(21), BIG)])
        put(conn, new_version(made(90), b"copied", segment(made(21), BIG)))

    writer.call(copy)
    if stored > 1:
        writer.call(lambda c: remove(c, b"big", 20))
    assert found.repair is not None
    assert writer.call(found.repair)
    assert find(filled) == []


def test_a_blob_that_went_meanwhile_is_left_alone(writer: Writer, filled: Connection) -> None:
    writer.call(lambda c: c.script(f"DELETE FROM deletion WHERE blob = {made(61)}"))
    (found,) = find(filled)
    assert found.repair is not None
    writer.call(lambda c: c.script(f"DELETE FROM chunk WHERE blob = {made(61)}"))
    writer.call(lambda c: c.script(f"DELETE FROM blob WHERE id = {made(61)}"))
    assert not writer.call(found.repair)


def test_findings_are_bounded(writer: Writer, filled: Connection) -> None:
    many = "INSERT INTO repair VALUES " + ", ".join(f"(7, {n}, 1, 'x', 1)" for n in range(check.MAX_FINDINGS + 50))
    writer.call(lambda c: c.script(many))
    assert len(find(filled)) == check.MAX_FINDINGS
