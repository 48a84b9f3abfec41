"""Access logs from requests over HTTP to objects in another bucket."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.request import urlopen

import pytest

from cyxcloud.core.clock import SystemClock
from cyxcloud.core.keyring import Keyring
from cyxcloud.objects.wrapping import Wrapping
from fleet import access_logs
from fleet.access_logs import AccessLogs
from fleet.objectstore import ObjectStore
from s3gw.access_log import FLUSH_SECONDS
from tests.cluster.inprocess import Coordinator, InProcessStore
from tests.cluster.operations.calls import raw, refused

SERVICE = "logging.s3.amazonaws.com"


def owner_of(client: Any) -> str:
    found: str = client.list_buckets()["Owner"]["ID"]
    return found


def allow(client: Any, target: str, source: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{target}/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"},
            "StringEquals": {"aws:SourceAccount": owner_of(client)},
        },
    }
    client.put_bucket_policy(Bucket=target, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def log_to(client: Any, bucket: str, target: str, **more: Any) -> None:
    enabled = {"TargetBucket": target, "TargetPrefix": "log/", **more}
    client.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})


@pytest.fixture
def target(client: Any, bucket: str) -> Iterator[str]:
    """Another bucket, which takes this one's logs; logging ends with the test."""
    name = f"{bucket}-logs"
    client.create_bucket(Bucket=name)
    allow(client, name, bucket)
    yield name
    client.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})


@contextmanager
def worker_of(store: InProcessStore, made: list[ObjectStore]) -> Iterator[Any]:
    def make(coordinator: Coordinator) -> AccessLogs:
        objects = ObjectStore(
            role="coordinator",
            hosts=coordinator.hosts,
            reader=coordinator.reader,
            writer=coordinator.writer,
            clock=coordinator.clock,
            monotonic=SystemClock(),
            wrapping=Wrapping(lambda: Keyring.open(store.home.keys).wrapping),
            delete_grace_seconds=3600.0,
        )
        made.append(objects)
        return AccessLogs(objects, coordinator.reader, coordinator.clock, 0.0)

    yield make
    for each in made:
        each.close()


FIELDS = [
    "owner",
    "bucket",
    "time",
    "address",
    "requester",
    "request_id",
    "operation",
    "key",
    "request",
    "status",
    "error",
    "sent",
    "size",
    "total",
    "turnaround",
    "referrer",
    "agent",
    "version",
    "host_id",
    "signature",
    "cipher",
    "authentication",
    "host",
    "tls",
    "access_point",
    "acl",
]


def delivered(
    store: InProcessStore, client: Any, target: str, lines: int, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, str]]:
    """By operation and key, the fields of the lines, once so many have reached the database."""
    deadline = time.monotonic() + 10
    while store.rows("SELECT count(*) FROM access_log")[0][0] < lines and time.monotonic() < deadline:
        time.sleep(FLUSH_SECONDS / 5)
    monkeypatch.setattr(access_logs, "QUIET_SECONDS", 0.0)
    with worker_of(store, []) as make:
        store.step(make)
    found: dict[str, dict[str, str]] = {}
    for each in client.list_objects_v2(Bucket=target)["Contents"]:
        assert each["Key"].startswith("log/20")
        body = client.get_object(Bucket=target, Key=each["Key"])["Body"].read().decode()
        for line in body.splitlines():
            values = shlex.split(line.replace("[", '"').replace("]", '"'))
            fields = dict(zip(FIELDS, values, strict=True))
            found[f"{fields['operation']} {fields['key']}"] = fields
    assert len(found) == lines
    return found


def test_requests_of_a_bucket_become_lines(
    store: InProcessStore, client: Any, bucket: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_to(client, bucket, target)
    put = client.put_object(Bucket=bucket, Key="a b", Body=b"seven77")
    assert raw(store, "GET", f"/{bucket}/none", signed=False).status == 403
    client.get_object(Bucket=bucket, Key="a b")["Body"].read()
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a b"}, {"Key": "c"}], "Quiet": True})
    url = client.generate_presigned_url("get_bucket_versioning", Params={"Bucket": bucket})
    with closing(urlopen(url)) as answer:
        assert answer.status == 200
    lines = delivered(store, client, target, 6, monkeypatch)
    owner = owner_of(client)
    stored = lines["REST.PUT.OBJECT a%20b"]
    assert (stored["owner"], stored["bucket"], stored["requester"]) == (owner, bucket, owner)
    assert stored["request_id"] == put["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]
    assert (stored["status"], stored["error"], stored["size"], stored["sent"]) == ("200", "-", "7", "-")
    assert (stored["signature"], stored["authentication"], stored["acl"]) == ("SigV4", "AuthHeader", "-")
    assert stored["request"] == f"PUT /{bucket}/a%20b HTTP/1.1"
    refusal = lines["REST.GET.OBJECT none"]
    assert (refusal["status"], refusal["error"], refusal["requester"]) == ("403", "AccessDenied", "-")
    assert (refusal["signature"], refusal["authentication"]) == ("-", "-")
    got = lines["REST.GET.OBJECT a%20b"]
    assert (got["size"], got["sent"]) == ("7", "7")
    assert "REST.POST.DELETE_MULTI_OBJECT a%20b" in lines
    assert "REST.POST.DELETE_MULTI_OBJECT c" in lines
    assert lines["REST.GET.VERSIONING -"]["authentication"] == "QueryString"


def test_what_only_an_acl_allowed_is_said(
    store: InProcessStore, client: Any, bucket: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.put_object(Bucket=bucket, Key="open", Body=b"x", ACL="public-read")
    log_to(client, bucket, target)
    assert raw(store, "GET", f"/{bucket}/open", signed=False).status == 200
    client.head_object(Bucket=bucket, Key="open")
    lines = delivered(store, client, target, 2, monkeypatch)
    assert (lines["REST.GET.OBJECT open"]["acl"], lines["REST.HEAD.OBJECT open"]["acl"]) == ("Yes", "-")


def test_bucket_without_logging_writes_no_lines(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="a", Body=b"x")
    time.sleep(FLUSH_SECONDS * 1.5)
    found = store.rows("SELECT count(*) FROM access_log l JOIN bucket b ON b.id = l.bucket WHERE b.name = ?", bucket)
    assert found == [(0,)]


def test_logging_is_kept_and_removed(client: Any, bucket: str, target: str) -> None:
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket=bucket)
    grant = {"Grantee": {"Type": "CanonicalUser", "ID": owner_of(client)}, "Permission": "READ"}
    log_to(client, bucket, target, TargetGrants=[grant])
    kept = client.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]
    assert (kept["TargetBucket"], kept["TargetPrefix"]) == (target, "log/")
    assert kept["TargetObjectKeyFormat"] == {"SimplePrefix": {}}
    assert kept["TargetGrants"][0]["Grantee"]["ID"] == owner_of(client)
    log_to(client, bucket, target, TargetObjectKeyFormat={"PartitionedPrefix": {"PartitionDateSource": "EventTime"}})
    kept = client.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]
    assert kept["TargetObjectKeyFormat"] == {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}
    client.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    assert "LoggingEnabled" not in client.get_bucket_logging(Bucket=bucket)


def test_logging_to_a_target_that_does_not_take_it_is_refused(
    store: InProcessStore, client: Any, bucket: str, target: str
) -> None:
    with refused("InvalidTargetBucketForLogging", 400):
        log_to(client, bucket, "no-such-bucket-here")
    client.delete_bucket_policy(Bucket=target)
    with refused("AccessDenied", 403):
        log_to(client, bucket, target)
    allow(client, target, "another-bucket")
    with refused("AccessDenied", 403):
        log_to(client, bucket, target)
    client.delete_bucket_policy(Bucket=target)
    client.put_bucket_acl(Bucket=target, ACL="log-delivery-write")
    log_to(client, bucket, target)


def test_logging_is_set_by_the_owner_alone(store: InProcessStore, client: Any, bucket: str, target: str) -> None:
    everybody = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:PutBucketLogging",
        "Resource": f"arn:aws:s3:::{bucket}",
    }
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [everybody]}))
    other = store.client(*store.add_user("logger"))
    with refused("AccessDenied", 403):
        log_to(other, bucket, target)
    with refused("AccessDenied", 403):
        other.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
