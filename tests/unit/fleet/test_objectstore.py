"""Objects that the coordinator writes itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cyxcloud.core.clock import ManualClock, SystemClock
from cyxcloud.core.ids import AccountId, BucketId
from cyxcloud.core.keyring import Keyring
from cyxcloud.core.keywrap import Mode
from cyxcloud.core.recovery_code import RecoveryCode
from cyxcloud.meta import bucket_config, buckets, sessions
from cyxcloud.meta.errors import SessionClosed
from cyxcloud.meta.rows import BucketRow, Versioning
from cyxcloud.objects import get, kms
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.encryption import BUCKET_ENCRYPTION, BucketEncryption
from cyxcloud.objects.errors import KmsKeyNotFound
from cyxcloud.objects.kms import LocalKms
from cyxcloud.shards.frames import CHUNK_BYTES
from fleet.objectstore import ObjectStore
from fleet.storeclock import CoordinatorClock
from tests.unit.fleet.snapshot_rig import WRAPPING, Rig, rig

BUCKET = BucketRow(BucketId(7), "reports", AccountId(3), "", 1, Versioning.OFF, 1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(SystemClock().now_ms())


@pytest.fixture
def fleet(template: Path, tmp_path: Path, clock: ManualClock) -> Iterator[Rig]:
    with rig(template, tmp_path, clock=clock) as made:
        made.writer.call(lambda conn: buckets.create(conn, BUCKET))
        yield made


@pytest.fixture
def store(fleet: Rig, clock: ManualClock) -> Iterator[ObjectStore]:
    reader = fleet.database.reader()
    made = ObjectStore(
        role="reports",
        hosts=fleet.hosts,
        reader=reader,
        writer=fleet.writer,
        clock=CoordinatorClock(clock, reader, fleet.writer),
        monotonic=clock,
        wrapping=WRAPPING,
        delete_grace_seconds=3600.0,
    )
    yield made
    made.close()


async def _read(store: ObjectStore, key: bytes) -> bytes:
    opened = await store.ready()
    view = get.view_of(get.find(opened, BUCKET.name, key, with_body=True))
    if view.sealed is not None:
        return bytes(get.read_small(opened, view, 0, view.version.size))
    return b"".join([bytes(piece) async for piece in get.read_range(opened, view, 0, view.version.size)])


async def _pieces(piece: bytes, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield piece


async def test_put_object_small_and_in_pieces_is_read_back(store: ObjectStore) -> None:
    await store.put_object(BUCKET, b"small", b"hello", BUCKET.account, Attributes({"content-type": "text/plain"}))
    assert await _read(store, b"small") == b"hello"
    piece = bytes(range(256)) * 4096
    stored = await store.put_object(BUCKET, b"large", _pieces(piece, 6), BUCKET.account)
    assert stored.size == 6 * len(piece)
    assert await _read(store, b"large") == piece * 6


async def test_ready_of_several_at_once_opens_one_session(fleet: Rig, store: ObjectStore) -> None:
    await asyncio.gather(*(store.put_object(BUCKET, b"k%d" % at, b"x", BUCKET.account) for at in range(5)))
    assert [row.role for row in sessions.open_ones(fleet.database.reader())] == ["reports"]


async def test_put_object_after_its_session_was_closed_opens_another(fleet: Rig, store: ObjectStore) -> None:
    await store.put_object(BUCKET, b"k", b"one", BUCKET.account)
    (first,) = sessions.open_ones(fleet.database.reader())
    fleet.writer.call(lambda conn: sessions.close(conn, first.number, 1))  # type: ignore[arg-type]
    with pytest.raises(SessionClosed):
        await store.put_object(BUCKET, b"k", b"two", BUCKET.account)
    await store.put_object(BUCKET, b"k", b"three", BUCKET.account)
    assert await _read(store, b"k") == b"three"


async def test_ready_after_a_long_rest_beats_before_it_is_used(
    fleet: Rig, store: ObjectStore, clock: ManualClock
) -> None:
    """A session that was closed meanwhile fails no object. Fails where only time that was beaten is trusted."""
    await store.put_object(BUCKET, b"k", b"one", BUCKET.account)
    (first,) = sessions.open_ones(fleet.database.reader())
    await store.ready()
    fleet.writer.call(lambda conn: sessions.close(conn, first.number, 1))  # type: ignore[arg-type]
    clock.advance(3600)
    await store.put_object(BUCKET, b"k", b"two", BUCKET.account)
    assert await _read(store, b"k") == b"two"


async def test_put_object_is_encrypted_as_the_bucket_does(
    fleet: Rig, store: ObjectStore, clock: ManualClock, tmp_path: Path
) -> None:
    """Fails where the coordinator's objects are under the keyring whatever the bucket says."""
    keyring = Keyring.create(tmp_path / "keys", RecoveryCode.generate())
    fleet.writer.call(lambda conn: kms.ensure_key(conn, keyring, "payroll", 1))
    value = BUCKET_ENCRYPTION.encode(BucketEncryption("aws:kms", "payroll"))
    fleet.writer.call(lambda conn: bucket_config.put(conn, BUCKET.id, BUCKET_ENCRYPTION.name, value))
    with pytest.raises(KmsKeyNotFound):
        await store.put_object(BUCKET, b"k", b"one", BUCKET.account)
    store._kms = LocalKms(fleet.database.reader(), keyring, fleet.writer.submit, clock.now_ms)
    store._opened = None
    await store.put_object(BUCKET, b"k", b"one", BUCKET.account)
    assert await _read(store, b"k") == b"one"
    found = get.find(await store.ready(), BUCKET.name, b"k", with_body=False).version
    assert found is not None
    assert found.segment is not None
    assert found.segment.mode == Mode.SSE_KMS


async def test_put_object_in_pieces_of_whole_chunks_gives_all_memory_back(store: ObjectStore) -> None:
    """Fails where the buffer that found the end stays reserved: soon no body finds room any more."""
    piece = bytes(CHUNK_BYTES)
    async with asyncio.timeout(20):
        for _ in range(4):
            await store.put_object(BUCKET, b"whole", _pieces(piece, 1), BUCKET.account)
