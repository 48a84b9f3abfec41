"""What the store keeps for itself as objects like any other: an account and a bucket that no request can name.

The account has no row, so it has no key, no name and no place in a list of users; the bucket's name holds what no
bucket's name in a request may hold. Their rows are counted, moved, repaired and deleted like everybody's.
"""

from __future__ import annotations

from cyxcloud.core.ids import AccountId, BucketId
from cyxcloud.meta import buckets
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketRow, Versioning

SYSTEM_ACCOUNT = AccountId(0)
SNAPSHOT_BUCKET = BucketId(0)
SNAPSHOT_BUCKET_NAME = "/snapshots"


def ensure_snapshot_bucket(conn: Connection, now_ms: int) -> None:
    """Made where it is missing; safe to repeat."""
    row = BucketRow(SNAPSHOT_BUCKET, SNAPSHOT_BUCKET_NAME, SYSTEM_ACCOUNT, "", now_ms, Versioning.OFF, 1)
    buckets.create(conn, row)
