"""Inventories: configured over HTTP, taken by the worker, read back from the bucket that they went to."""

from __future__ import annotations

import csv
import gzip
import io
import json
from hashlib import md5
from typing import Any
from urllib.parse import unquote_plus

import pytest

from cyxcloud.core.clock import SystemClock
from cyxcloud.core.keyring import Keyring
from cyxcloud.core.worker import Did, Idle
from cyxcloud.objects.wrapping import Wrapping
from fleet.inventory import InventoryReports
from fleet.objectstore import ObjectStore
from tests.cluster.inprocess import Coordinator, InProcessStore
from tests.cluster.operations.calls import PART, content, raw, refused

DAY = 86400.0
FIELDS = ["Size", "ETag", "LastModifiedDate", "StorageClass", "IsMultipartUploaded", "EncryptionStatus", "ObjectOwner"]


class Reports:
    """The worker with a store of its own, which it closes when it is idle."""

    name = "inventories"

    def __init__(self, of: Coordinator, keyring: Keyring, rows_a_file: int, steps: int) -> None:
        clock = SystemClock()
        self._objects = ObjectStore(
            role="objects",
            hosts=of.hosts,
            reader=of.reader,
            writer=of.writer,
            clock=of.clock,
            monotonic=clock,
            wrapping=Wrapping(lambda: keyring.wrapping),
            delete_grace_seconds=3600.0,
        )
        self._worker = InventoryReports(self._objects, of.reader, of.writer, of.clock, DAY, rows_a_file)
        self._steps = steps

    async def step(self, now: float) -> Did | Idle:
        done: Did | Idle = Idle(now)
        if self._steps:
            self._steps -= 1
            done = await self._worker.step(now)
        if isinstance(done, Idle):
            self._objects.close()
        return done


def take(store: InProcessStore, *, rows_a_file: int = 100, steps: int = 1000, ahead_days: float = 0.0) -> None:
    keyring = Keyring.open(store.home.keys)
    store.step(lambda of: Reports(of, keyring, rows_a_file, steps), ahead_seconds=ahead_days * DAY)


def wanted(target: str, id_: str = "all", versions: str = "Current", **more: Any) -> dict[str, Any]:
    destination = {"Bucket": f"arn:aws:s3:::{target}", "Format": "CSV", "Prefix": "reports"}
    return {
        "Id": id_,
        "IsEnabled": True,
        "Destination": {"S3BucketDestination": destination},
        "IncludedObjectVersions": versions,
        "Schedule": {"Frequency": "Daily"},
        "OptionalFields": FIELDS,
    } | more


def configure(client: Any, bucket: str, config: dict[str, Any]) -> None:
    client.put_bucket_inventory_configuration(Bucket=bucket, Id=config["Id"], InventoryConfiguration=config)


def let_in(client: Any, target: str, source: str, account: str) -> None:
    """The policy that Amazon's pages tell owners of targets to put."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{target}/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{source}"},
            "StringEquals": {"aws:SourceAccount": account, "s3:x-amz-acl": "bucket-owner-full-control"},
        },
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client.put_bucket_policy(Bucket=target, Policy=policy)


@pytest.fixture
def target(client: Any, bucket: str) -> str:
    name = f"{bucket}-target"
    client.create_bucket(Bucket=name)
    let_in(client, name, bucket, client.list_buckets()["Owner"]["ID"])
    return name


def keys(client: Any, bucket: str) -> list[str]:
    return [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", ())]


def get(client: Any, bucket: str, key: str) -> bytes:
    body: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def manifests(client: Any, target: str) -> list[Any]:
    """Each checked: its own checksum, and those of its files."""
    found = []
    for key in keys(client, target):
        if key.endswith("manifest.json"):
            text = get(client, target, key)
            checksum = get(client, target, key.replace("manifest.json", "manifest.checksum"))
            assert checksum.decode() == md5(text, usedforsecurity=False).hexdigest()
            found.append(json.loads(text))
    return found


def rows_of(client: Any, target: str, manifest: Any) -> list[dict[str, str]]:
    columns = manifest["fileSchema"].split(", ")
    rows = []
    for file in manifest["files"]:
        packed = get(client, target, file["key"])
        assert (len(packed), md5(packed, usedforsecurity=False).hexdigest()) == (file["size"], file["MD5checksum"])
        text = gzip.decompress(packed).decode()
        assert text.startswith('"')
        rows += [dict(zip(columns, cells, strict=True)) for cells in csv.reader(io.StringIO(text))]
    return rows


def test_configuration_is_given_back_listed_and_deleted(client: Any, bucket: str, target: str) -> None:
    with refused("NoSuchConfiguration", 404):
        client.get_bucket_inventory_configuration(Bucket=bucket, Id="all")
    first = wanted(target, Filter={"Prefix": "p/"})
    second = wanted(target, "other", "All", IsEnabled=False, Schedule={"Frequency": "Weekly"})
    for config in (second, first):
        configure(client, bucket, config)
    found = client.get_bucket_inventory_configuration(Bucket=bucket, Id="all")["InventoryConfiguration"]
    assert found == first
    listed = client.list_bucket_inventory_configurations(Bucket=bucket)
    assert (listed["InventoryConfigurationList"], listed["IsTruncated"]) == ([first, second], False)
    client.delete_bucket_inventory_configuration(Bucket=bucket, Id="all")
    with refused("NoSuchConfiguration", 404):
        client.delete_bucket_inventory_configuration(Bucket=bucket, Id="all")
    client.delete_bucket_inventory_configuration(Bucket=bucket, Id="other")
    assert "InventoryConfigurationList" not in client.list_bucket_inventory_configurations(Bucket=bucket)


def test_list_gives_a_hundred_a_page(client: Any, bucket: str, target: str) -> None:
    for number in range(101):
        configure(client, bucket, wanted(target, f"c{number:03}", IsEnabled=False))
    page = client.list_bucket_inventory_configurations(Bucket=bucket)
    assert (len(page["InventoryConfigurationList"]), page["IsTruncated"]) == (100, True)
    rest = client.list_bucket_inventory_configurations(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
    assert [each["Id"] for each in rest["InventoryConfigurationList"]] == ["c100"]


def test_configurations_that_s3_refuses(store: InProcessStore, client: Any, bucket: str, target: str) -> None:
    def destination(**changes: Any) -> dict[str, Any]:
        good = wanted(target)["Destination"]["S3BucketDestination"]
        return {"Destination": {"S3BucketDestination": good | changes}}

    for code, status, changes in [
        ("InvalidS3DestinationBucket", 400, destination(Bucket=target)),
        ("InvalidS3DestinationBucket", 400, destination(Bucket="arn:aws:s3:::no-such-bucket")),
        ("NotImplemented", 501, destination(Format="ORC")),
        ("NotImplemented", 501, destination(Format="Parquet")),
        ("NotImplemented", 501, destination(Encryption={"SSEKMS": {"KeyId": "k"}})),
        ("MalformedXML", 400, destination(Format="TSV")),
        ("MalformedXML", 400, {"IncludedObjectVersions": "Some"}),
        ("MalformedXML", 400, {"Schedule": {"Frequency": "Hourly"}}),
        ("MalformedXML", 400, {"OptionalFields": ["Colour"]}),
    ]:
        with refused(code, status):
            configure(client, bucket, wanted(target, **changes))
    with refused("InvalidArgument", 400):
        client.put_bucket_inventory_configuration(Bucket=bucket, Id="this", InventoryConfiguration=wanted(target))
    answer = raw(store, "PUT", f"/{bucket}", b"<x/>", query=(("inventory", ""), ("id", "all")))
    assert answer.code == "MalformedXML"


def test_report_lists_current_objects_in_s3s_layout(
    store: InProcessStore, client: Any, bucket: str, target: str
) -> None:
    sizes = {f"k{number:02}": number for number in range(25)} | {'quo"te, and ü/ +': 3}
    for key, size in sizes.items():
        client.put_object(Bucket=bucket, Key=key, Body=content(size))
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=content(PART))["ETag"]
    client.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}
    )
    client.put_object(Bucket=bucket, Key="gone", Body=b"")
    client.delete_object(Bucket=bucket, Key="gone")
    configure(client, bucket, wanted(target))
    take(store, rows_a_file=10)
    (manifest,) = manifests(client, target)
    assert manifest["fileSchema"] == (
        "Bucket, Key, Size, LastModifiedDate, ETag, StorageClass, IsMultipartUploaded, EncryptionStatus, ObjectOwner"
    )
    assert (manifest["sourceBucket"], manifest["destinationBucket"]) == (bucket, f"arn:aws:s3:::{target}")
    assert (manifest["fileFormat"], manifest["version"], len(manifest["files"])) == ("CSV", "2016-11-30", 3)
    assert all(file["key"].startswith(f"reports/{bucket}/all/data/") for file in manifest["files"])
    rows = {unquote_plus(row["Key"]): row for row in rows_of(client, target, manifest)}
    assert {key: int(row["Size"]) for key, row in rows.items()} == sizes | {"parts": PART}
    head = client.head_object(Bucket=bucket, Key="parts")
    assert rows["parts"]["ETag"] == head["ETag"].strip('"')
    assert (rows["parts"]["IsMultipartUploaded"], rows["k01"]["IsMultipartUploaded"]) == ("true", "false")
    assert rows["k01"]["StorageClass"] == "STANDARD"
    assert rows["k01"]["EncryptionStatus"] == "SSE-S3"
    assert rows["k01"]["ObjectOwner"] == client.list_buckets()["Owner"]["ID"]
    assert rows["k01"]["Bucket"] == bucket
    assert any(key.startswith(f"reports/{bucket}/all/hive/dt=") for key in keys(client, target))


def test_report_of_all_versions_tells_them_apart(store: InProcessStore, client: Any, bucket: str, target: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"null")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    second = client.put_object(Bucket=bucket, Key="k", Body=b"second")["VersionId"]
    marker = client.delete_object(Bucket=bucket, Key="k")["VersionId"]
    other = client.put_object(Bucket=bucket, Key="l", Body=b"x")["VersionId"]
    configure(client, bucket, wanted(target, versions="All", OptionalFields=["Size"]))
    take(store, rows_a_file=2)
    (manifest,) = manifests(client, target)
    assert manifest["fileSchema"] == "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size"
    found = [tuple(row.values())[1:] for row in rows_of(client, target, manifest)]
    assert found == [
        ("k", marker, "true", "true", ""),
        ("k", second, "false", "false", "6"),
        ("k", "null", "false", "false", "4"),
        ("l", other, "true", "false", "1"),
    ]


def test_report_lists_what_its_filter_says(store: InProcessStore, client: Any, bucket: str, target: str) -> None:
    for key in ("a/1", "b/1", "b/2", "c/1"):
        client.put_object(Bucket=bucket, Key=key, Body=b"")
    configure(client, bucket, wanted(target, Filter={"Prefix": "b/"}))
    take(store)
    (manifest,) = manifests(client, target)
    assert [row["Key"] for row in rows_of(client, target, manifest)] == ["b/1", "b/2"]


def test_report_goes_on_where_a_stopped_coordinator_left_it(
    store: InProcessStore, client: Any, bucket: str, target: str
) -> None:
    """What was deleted or added behind the listing does not change what it has listed. Fails where it begins anew."""
    names = [f"k{number:02}" for number in range(20)]
    for key in names:
        client.put_object(Bucket=bucket, Key=key, Body=b"x")
    configure(client, bucket, wanted(target))
    take(store, rows_a_file=8, steps=1)
    assert manifests(client, target) == []
    before = set(keys(client, target))
    assert len(before) == 1
    client.delete_object(Bucket=bucket, Key="k00")
    client.put_object(Bucket=bucket, Key="a", Body=b"x")
    take(store, rows_a_file=8)
    (manifest,) = manifests(client, target)
    assert before <= {file["key"] for file in manifest["files"]}
    assert [row["Key"] for row in rows_of(client, target, manifest)] == names


def test_report_comes_again_when_its_day_has_passed(
    store: InProcessStore, client: Any, bucket: str, target: str
) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    configure(client, bucket, wanted(target))
    configure(client, bucket, wanted(target, "weekly", Schedule={"Frequency": "Weekly"}))
    configure(client, bucket, wanted(target, "off", IsEnabled=False))
    take(store)
    take(store)
    assert len(manifests(client, target)) == 2
    take(store, ahead_days=1.01)
    assert len(manifests(client, target)) == 3
    take(store, ahead_days=7.02)
    assert len(manifests(client, target)) == 5


def test_report_of_an_empty_bucket_has_no_files(store: InProcessStore, client: Any, bucket: str, target: str) -> None:
    configure(client, bucket, wanted(target))
    take(store)
    assert [manifest["files"] for manifest in manifests(client, target)] == [[]]


def test_report_goes_only_where_the_target_lets_it_in(store: InProcessStore, client: Any, bucket: str) -> None:
    """No confused deputy: neither the source's right to configure nor its owner's own rights open a target."""
    account = client.list_buckets()["Owner"]["ID"]
    stranger = store.client(*store.add_user("target-owner"))
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    for owner, name, source, of_account in [
        (stranger, f"{bucket}-silent", "", ""),
        (client, f"{bucket}-own-silent", "", ""),
        (stranger, f"{bucket}-other-source", f"{bucket}-not", account),
        (stranger, f"{bucket}-other-account", bucket, "0" * 64),
    ]:
        owner.create_bucket(Bucket=name)
        if source:
            let_in(owner, name, source, of_account)
        configure(client, bucket, wanted(name))
        take(store)
        assert keys(owner, name) == [], name
    foreign = f"{bucket}-foreign"
    stranger.create_bucket(Bucket=foreign)
    let_in(stranger, foreign, bucket, account)
    configure(client, bucket, wanted(foreign))
    take(store)
    (manifest,) = manifests(stranger, foreign)
    assert [row["Key"] for row in rows_of(stranger, foreign, manifest)] == ["k"]


def test_report_is_told_to_who_follows_its_target(store: InProcessStore, client: Any, bucket: str, target: str) -> None:
    hook = {"TopicArn": "arn:aws:sns:us-east-1:1:nobody", "Events": ["s3:ObjectCreated:*"]}
    client.put_bucket_notification_configuration(
        Bucket=target, NotificationConfiguration={"TopicConfigurations": [hook]}, SkipDestinationValidation=True
    )
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    configure(client, bucket, wanted(target))
    take(store)
    query = "SELECT c.key, c.details FROM change c JOIN bucket b ON b.id = c.bucket WHERE b.name = ? ORDER BY seq"
    found = store.rows(query, target)
    assert [key.decode().rpartition(".")[2] for key, _ in found] == ["gz", "txt", "json", "checksum"]
    assert all(b"s3.amazonaws.com" in details for _, details in found)
