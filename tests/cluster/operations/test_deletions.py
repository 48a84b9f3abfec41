"""From a removed row to tombstones on the nodes: after the grace, once, exactly what nothing refers to."""

from __future__ import annotations

from typing import Any

from cyxcloud.core.worker import Did
from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import MIB, PART, content

GRACE_SECONDS = 24 * 3600
SHARDS = 14


def shard_count(store: InProcessStore) -> int:
    return sum(node.info().shard_count for node in store.stores)


def deletions(store: InProcessStore, seconds: float) -> int:
    """How many blobs were ordered away at that time."""
    done = store.step(lambda coordinator: coordinator.deletions(), ahead_seconds=seconds)
    return sum(each.count for each in done if isinstance(each, Did) and each.what == "deleting")


def settle(store: InProcessStore) -> int:
    """Take away what earlier tests removed, so that what follows can be counted."""
    store.step(lambda coordinator: coordinator.upload_sweep(), ahead_seconds=2 * GRACE_SECONDS)
    deletions(store, 4 * GRACE_SECONDS)
    return shard_count(store)


def test_bytes_go_after_the_grace_and_not_before(store: InProcessStore, client: Any, bucket: str) -> None:
    before = settle(store)
    client.put_object(Bucket=bucket, Key="k", Body=content(5 * MIB))
    assert shard_count(store) == before + 2 * SHARDS
    client.delete_object(Bucket=bucket, Key="k")
    assert deletions(store, GRACE_SECONDS - 60) == 0
    assert shard_count(store) == before + 2 * SHARDS
    assert deletions(store, GRACE_SECONDS + 60) == 1
    assert shard_count(store) == before
    assert store.rows("SELECT count(*) FROM deletion") == [(0,)]
    assert deletions(store, GRACE_SECONDS + 60) == 0


def test_orders_are_kept_with_their_receipts(store: InProcessStore, client: Any, bucket: str) -> None:
    settle(store)
    already = store.rows("SELECT count(*) FROM delete_order")[0][0]
    client.put_object(Bucket=bucket, Key="k", Body=content(100_000))
    client.delete_object(Bucket=bucket, Key="k")
    deletions(store, GRACE_SECONDS + 60)
    orders = store.rows("SELECT receipt, receipt_signature FROM delete_order")
    assert len(orders) == already + SHARDS
    assert all(receipt and signature for receipt, signature in orders)


def test_overwriting_removes_the_old_bytes_alone(store: InProcessStore, client: Any, bucket: str) -> None:
    before = settle(store)
    for seed in range(3):
        client.put_object(Bucket=bucket, Key="k", Body=content(100_000, seed))
    assert deletions(store, GRACE_SECONDS + 60) == 2
    assert shard_count(store) == before + SHARDS
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == content(100_000, 2)


def test_what_a_copy_still_needs_stays(store: InProcessStore, client: Any, bucket: str) -> None:
    before = settle(store)
    client.put_object(Bucket=bucket, Key="one", Body=content(100_000))
    client.copy_object(Bucket=bucket, Key="two", CopySource=f"{bucket}/one")
    client.delete_object(Bucket=bucket, Key="one")
    assert deletions(store, GRACE_SECONDS + 60) == 0
    assert client.get_object(Bucket=bucket, Key="two")["Body"].read() == content(100_000)
    client.delete_object(Bucket=bucket, Key="two")
    assert deletions(store, GRACE_SECONDS + 60) == 1
    assert shard_count(store) == before


def test_small_bodies_go_with_their_rows(store: InProcessStore, client: Any, bucket: str) -> None:
    before = settle(store)
    inline = store.rows("SELECT count(*) FROM inline")
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    client.delete_object(Bucket=bucket, Key="k")
    client.delete_object(Bucket=bucket, Key="copy")
    deletions(store, GRACE_SECONDS + 60)
    assert store.rows("SELECT count(*) FROM inline") == inline
    assert shard_count(store) == before


def test_aborted_uploads_leave_nothing(store: InProcessStore, client: Any, bucket: str) -> None:
    before = settle(store)
    upload = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    for number in (1, 2):
        client.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=content(PART))
    client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    assert settle(store) == before


def test_a_refused_write_leaves_nothing(store: InProcessStore, client: Any, bucket: str) -> None:
    before = settle(store)
    client.put_object(Bucket=bucket, Key="k", Body=b"hello")
    for given in ({"IfNoneMatch": "*"}, {"ContentMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}):
        try:
            client.put_object(Bucket=bucket, Key="k", Body=content(5 * MIB), **given)
        except client.exceptions.ClientError:
            continue
        raise AssertionError(given)
    assert settle(store) == before


def test_usage_counts_what_is_there(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=content(100))
    client.put_object(Bucket=bucket, Key="a", Body=content(250))
    client.put_object(Bucket=bucket, Key="b", Body=content(20_000))
    client.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/b")
    client.delete_object(Bucket=bucket, Key="b")
    ((number,),) = store.rows("SELECT id FROM bucket WHERE name = ?", bucket)
    assert store.run(lambda: usage_of(store, number)) == (2, 20_250)


async def usage_of(store: InProcessStore, bucket: int) -> tuple[int, int]:
    deltas = store.rows(
        "SELECT coalesce(sum(objects), 0), coalesce(sum(bytes), 0) FROM usage_delta WHERE bucket = ?", bucket
    )
    folded = store.rows("SELECT coalesce(sum(objects), 0), coalesce(sum(bytes), 0) FROM usage WHERE bucket = ?", bucket)
    return deltas[0][0] + folded[0][0], deltas[0][1] + folded[0][1]


def test_parts_of_an_aborted_upload_stay_for_the_grace(store: InProcessStore, client: Any, bucket: str) -> None:
    """A restored snapshot may still have the upload: who goes on with it must find its parts."""
    before = settle(store)
    upload = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    client.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=content(100_000))
    client.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    store.step(lambda coordinator: coordinator.upload_sweep())
    assert deletions(store, GRACE_SECONDS - 60) == 0
    assert shard_count(store) == before + SHARDS
    assert deletions(store, GRACE_SECONDS + 60) == 1
    assert shard_count(store) == before
