"""Lifecycle and access logs of a whole store whose coordinator is killed: objects go in time, lines arrive once."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections import Counter
from pathlib import Path

from tests.cluster.conftest import running
from tests.cluster.running import Running, kill, until
from tests.cluster.s3 import S3

RULES = (
    b"<LifecycleConfiguration><Rule><ID>all</ID><Filter/><Status>Enabled</Status>"
    b"<Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"
)
LOGGING = (
    b"<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>web/</TargetPrefix>"
    b"</LoggingEnabled></BucketLoggingStatus>"
)
ROUNDS, PUTS = 3, 20
LOOKS, LOOK_SECONDS = 60, 0.5


async def log_to(store: Running, s3: S3) -> None:
    account = store.rows("SELECT canonical_id FROM account WHERE is_root = 1")[0][0]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::logs/web/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": "arn:aws:s3:::web"},
            "StringEquals": {"aws:SourceAccount": account},
        },
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]}).encode()
    await s3.must("PUT", "/logs", query=(("policy", ""),), body=policy)
    await s3.must("PUT", "/web", query=(("logging", ""),), body=LOGGING)


def keys_of(store: Running, bucket: str) -> list[str]:
    rows = store.rows("SELECT h.key FROM head h JOIN bucket b ON b.id = h.bucket WHERE b.name = ?", bucket)
    return [key.decode() for (key,) in rows]


async def logged(store: Running, s3: S3) -> Counter[str]:
    """Keys of the PUTs in all logs that were delivered."""
    found: Counter[str] = Counter()
    for key in keys_of(store, "logs"):
        for line in (await s3.must("GET", f"/logs/{key}")).body.splitlines():
            fields = line.split(b" ")
            if fields[7] == b"REST.PUT.OBJECT":
                found[fields[8].decode()] += 1
    return found


async def test_killed_coordinator_delivers_each_line_once_and_expires_all(tmp_path: Path) -> None:
    with running(tmp_path / "data", access_log__interval="0.3", lifecycle__day="1") as store:
        async with store.s3() as s3:
            for bucket in ("web", "logs"):
                await s3.must("PUT", f"/{bucket}")
            await log_to(store, s3)
            wanted: Counter[str] = Counter()
            for turn in range(ROUNDS):
                for n in range(PUTS):
                    await s3.must("PUT", f"/web/{turn}/{n}", body=b"x")
                    wanted[f"{turn}/{n}"] += 1
                until(lambda: store.rows("SELECT 1 FROM access_log"), "lines in the database")
                kill(until(lambda: store.pids("coordinator"), "a coordinator")[0])
            digest = base64.b64encode(hashlib.md5(RULES, usedforsecurity=False).digest()).decode()
            await s3.must("PUT", "/web", query=(("lifecycle", ""),), body=RULES, headers={"content-md5": digest})
            until(lambda: not keys_of(store, "web"), "all expired", 60)
            for _ in range(LOOKS):
                if (delivered := await logged(store, s3)).total() >= wanted.total():
                    break
                await asyncio.sleep(LOOK_SECONDS)
            assert delivered == wanted
