"""Events of buckets: configured over HTTP, told to a real receiver, in S3's form and order."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from cli.store import change, database_of
from cyxcloud.core.worker import Did, Idle, Worker
from cyxcloud.meta import webhooks
from cyxcloud.meta.webhooks import WebhookRow
from fleet.changelog import ChangeTrim
from fleet.deliveries import Deliveries
from fleet.notifications import Notifications
from fleet.outgoing import Guard, Poster
from tests.cluster.inprocess import Coordinator, InProcessStore
from tests.cluster.operations.calls import PART, content, raw, refused

NAME = "hook"
ARN = f"arn:cyxcloud:s3:::webhook:{NAME}"


@dataclass
class Receiver:
    """What came in, message by message."""

    port: int = 0
    messages: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    @property
    def records(self) -> list[Any]:
        return [record for message in self.messages for record in message.get("Records", ())]

    def told(self) -> list[tuple[str, str]]:
        """(event, key) of what was told."""
        return [(each["eventName"], each["s3"]["object"]["key"]) for each in self.records]


@contextmanager
def receiving() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.messages.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


class Sender:
    """The worker with connections of its own, which it closes after each step."""

    name = "deliveries"

    def __init__(self, coordinator: Coordinator) -> None:
        self._of = coordinator

    async def step(self, now: float) -> Did | Idle:
        poster = Poster(Guard(["127.0.0.0/8"]), 5.0)
        reader, writer, clock = self._of.reader, self._of.writer, self._of.clock
        try:
            return await Deliveries(reader, writer, clock, poster, lambda _name, _sealed: "", 3600.0).step(now)
        finally:
            await poster.close()


def queue(of: Coordinator) -> Worker:
    return Notifications(of.reader, of.writer, of.clock)


def tell(store: InProcessStore) -> None:
    store.step(queue)
    store.step(Sender)


@pytest.fixture
def receiver(store: InProcessStore) -> Iterator[Receiver]:
    database = database_of(store.home)
    with receiving() as made:
        change(database, lambda conn: webhooks.add(conn, WebhookRow(NAME, made.url, b"", 1)))
        yield made
        change(database, lambda conn: webhooks.remove(conn, NAME))
    database.close()


def configured(
    client: Any, bucket: str, *events: str, kind: str = "Topic", arn: str = ARN, id_: str = "", **filters: str
) -> dict[str, Any]:
    entry: dict[str, Any] = {f"{kind}Arn": arn, "Events": list(events)}
    if id_:
        entry["Id"] = id_
    if filters:
        rules = [{"Name": name, "Value": value} for name, value in filters.items()]
        entry["Filter"] = {"Key": {"FilterRules": rules}}
    config = {f"{kind}Configurations": [entry]}
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=config)
    return config


def test_get_of_a_bucket_without_one_is_empty(client: Any, bucket: str) -> None:
    answer = client.get_bucket_notification_configuration(Bucket=bucket)
    del answer["ResponseMetadata"]
    assert answer == {}


@pytest.mark.parametrize(
    ("kind", "arn"),
    [
        ("Topic", ARN),
        ("Topic", f"arn:aws:sns:us-east-1:123456789012:{NAME}"),
        ("Queue", f"arn:aws:sqs:us-east-1:123456789012:{NAME}"),
        ("LambdaFunction", f"arn:aws:lambda:us-east-1:123456789012:function:{NAME}"),
    ],
)
@pytest.mark.usefixtures("receiver")
def test_configuration_is_given_back(client: Any, bucket: str, kind: str, arn: str) -> None:
    config = configured(
        client, bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:Delete", kind=kind, arn=arn, id_="a <b>", prefix="p/"
    )
    found = client.get_bucket_notification_configuration(Bucket=bucket)
    del found["ResponseMetadata"]
    assert found == config
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert f"{kind}Configurations" not in client.get_bucket_notification_configuration(Bucket=bucket)


@pytest.mark.usefixtures("receiver")
def test_configuration_without_an_id_gets_one(client: Any, bucket: str) -> None:
    configured(client, bucket, "s3:ObjectCreated:*")
    (found,) = client.get_bucket_notification_configuration(Bucket=bucket)["TopicConfigurations"]
    assert found["Id"]


@pytest.mark.usefixtures("receiver")
def test_configurations_that_s3_refuses(client: Any, bucket: str) -> None:
    for events, kwargs in [
        (["s3:ObjectEaten"], {}),
        (["s3:ObjectCreated:*"], {"arn": "arn:aws:sns:us-east-1:1:nobody"}),
        (["s3:ObjectCreated:*"], {"arn": "nonsense"}),
        (["s3:ObjectCreated:*"], {"middle": "x"}),
    ]:
        with refused("InvalidArgument", 400):
            configured(client, bucket, *events, **kwargs)
    overlapping = [{"TopicArn": ARN, "Events": [event]} for event in ("s3:ObjectCreated:*", "s3:ObjectCreated:Put")]
    with refused("InvalidArgument", 400):
        client.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"TopicConfigurations": overlapping}
        )
    with refused("NotImplemented", 501):
        client.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
    assert "TopicConfigurations" not in client.get_bucket_notification_configuration(Bucket=bucket)


def test_unknown_destination_is_taken_where_validation_is_skipped(client: Any, bucket: str) -> None:
    client.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": ARN, "Events": ["s3:ObjectCreated:*"]}]},
        SkipDestinationValidation=True,
    )
    assert client.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]


def test_documents_that_are_malformed(store: InProcessStore, bucket: str) -> None:
    inner = "<TopicConfiguration><Topic>x</Topic></TopicConfiguration>"
    for body in ("", "<x/>", f"<NotificationConfiguration>{inner}</NotificationConfiguration>"):
        answer = raw(store, "PUT", f"/{bucket}", body.encode(), query=(("notification", ""),))
        assert (answer.status, answer.code) == (400, "MalformedXML"), body


def test_destination_gets_a_test_event_once(
    store: InProcessStore, client: Any, bucket: str, receiver: Receiver
) -> None:
    configured(client, bucket, "s3:ObjectCreated:*")
    configured(client, bucket, "s3:ObjectCreated:Put")
    tell(store)
    (message,) = receiver.messages
    assert (message["Event"], message["Bucket"], message["Service"]) == ("s3:TestEvent", bucket, "Amazon S3")


def test_changes_are_told_in_s3s_form(store: InProcessStore, client: Any, bucket: str, receiver: Receiver) -> None:
    client.put_object(Bucket=bucket, Key="before", Body=b"nobody was told")
    configured(client, bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:*", id_="mine")
    body = content(20_000)
    etag = client.put_object(Bucket=bucket, Key="a b/ü", Body=body)["ETag"].strip('"')
    client.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b/ü"})
    upload = client.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, Body=content(PART))["ETag"]
    client.complete_multipart_upload(
        Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]}
    )
    client.delete_object(Bucket=bucket, Key="copy")
    client.delete_object(Bucket=bucket, Key="never was")
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "before"}, {"Key": "parts"}]})
    tell(store)
    assert sorted(receiver.told()) == [
        ("ObjectCreated:CompleteMultipartUpload", "parts"),
        ("ObjectCreated:Copy", "copy"),
        ("ObjectCreated:Put", "a+b/%C3%BC"),
        ("ObjectRemoved:Delete", "before"),
        ("ObjectRemoved:Delete", "copy"),
        ("ObjectRemoved:Delete", "parts"),
    ]
    first = next(each for each in receiver.records if each["eventName"] == "ObjectCreated:Put")
    assert first["s3"]["configurationId"] == "mine"
    assert first["s3"]["bucket"]["name"] == bucket
    assert (first["s3"]["object"]["size"], first["s3"]["object"]["eTag"]) == (len(body), etag)
    assert "versionId" not in first["s3"]["object"]
    assert first["requestParameters"]["sourceIPAddress"] == "127.0.0.1"
    assert first["userIdentity"]["principalId"] == client.list_buckets()["Owner"]["ID"]
    assert first["awsRegion"] == "us-east-1"
    tell(store)
    assert len(receiver.records) == 6


def test_changes_of_one_key_come_in_order(store: InProcessStore, client: Any, bucket: str, receiver: Receiver) -> None:
    configured(client, bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    for _ in range(5):
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
        client.delete_object(Bucket=bucket, Key="k")
    tell(store)
    assert [event for event, _ in receiver.told()] == ["ObjectCreated:Put", "ObjectRemoved:Delete"] * 5
    sequencers = [each["s3"]["object"]["sequencer"] for each in receiver.records]
    assert sequencers == sorted(set(sequencers))


def test_filters_choose_what_is_told(store: InProcessStore, client: Any, bucket: str, receiver: Receiver) -> None:
    configured(client, bucket, "s3:ObjectCreated:*", prefix="images/", suffix=".jpg")
    for key in ("images/a.jpg", "images/a.png", "videos/a.jpg"):
        client.put_object(Bucket=bucket, Key=key, Body=b"")
    client.delete_object(Bucket=bucket, Key="images/a.jpg")
    tell(store)
    assert receiver.told() == [("ObjectCreated:Put", "images/a.jpg")]


def test_versions_and_markers_are_told_apart(
    store: InProcessStore, client: Any, bucket: str, receiver: Receiver
) -> None:
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    configured(client, bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    version = client.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    marker = client.delete_object(Bucket=bucket, Key="k")["VersionId"]
    client.delete_object(Bucket=bucket, Key="k", VersionId=version)
    tell(store)
    found = [(each["eventName"], each["s3"]["object"]["versionId"]) for each in receiver.records]
    assert found == [
        ("ObjectCreated:Put", version),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", version),
    ]


def test_bucket_that_is_not_followed_logs_nothing(
    store: InProcessStore, client: Any, bucket: str, receiver: Receiver
) -> None:
    """Nor one that is not followed any more."""
    configured(client, bucket, "s3:ObjectCreated:*")
    client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    tell(store)
    assert receiver.records == []
    assert store.rows("SELECT c.seq FROM change c JOIN bucket b ON b.id = c.bucket WHERE b.name = ?", bucket) == []


def test_refused_writes_are_not_told(store: InProcessStore, client: Any, bucket: str, receiver: Receiver) -> None:
    configured(client, bucket, "s3:ObjectCreated:*")
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    with refused("PreconditionFailed", 412):
        client.put_object(Bucket=bucket, Key="k", Body=b"y", IfNoneMatch="*")
    tell(store)
    assert len(receiver.records) == 1


@pytest.mark.usefixtures("receiver")
def test_log_is_trimmed_behind_its_readers(store: InProcessStore, client: Any, bucket: str) -> None:
    def left() -> int:
        query = "SELECT count(*) FROM change c JOIN bucket b ON b.id = c.bucket WHERE b.name = ?"
        found: int = store.rows(query, bucket)[0][0]
        return found

    def trim(of: Coordinator) -> Worker:
        return ChangeTrim(of.reader, of.writer, of.clock, 3600.0)

    configured(client, bucket, "s3:ObjectRemoved:*")
    for n in range(3):
        client.put_object(Bucket=bucket, Key=f"k{n}", Body=b"x")
    store.step(trim)
    assert left() == 3, "not read yet"
    store.step(queue)
    store.step(trim)
    assert left() == 0
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    store.step(trim, ahead_seconds=3700)
    assert left() == 0, "nobody came in time"


@pytest.mark.usefixtures("receiver")
def test_deleted_bucket_leaves_nothing_behind(store: InProcessStore, client: Any, bucket: str) -> None:
    configured(client, bucket, "s3:ObjectCreated:*")
    client.put_object(Bucket=bucket, Key="k", Body=b"x")
    client.delete_object(Bucket=bucket, Key="k")
    (row,) = store.rows("SELECT id FROM bucket WHERE name = ?", bucket)
    client.delete_bucket(Bucket=bucket)
    for table in ("change", "change_reader", "change_counter"):
        assert store.rows(f"SELECT 1 FROM {table} WHERE bucket = ?", row[0]) == []


def test_changes_of_what_an_object_carries_are_told(
    store: InProcessStore, client: Any, bucket: str, receiver: Receiver
) -> None:
    configured(client, bucket, "s3:ObjectTagging:*", "s3:ObjectAcl:Put", "s3:ObjectRestore:*")
    client.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="GLACIER")
    client.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    client.delete_object_tagging(Bucket=bucket, Key="k")
    client.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    client.restore_object(Bucket=bucket, Key="k", RestoreRequest={"Days": 1})
    tell(store)
    assert [event for event, _ in receiver.told()] == [
        "ObjectTagging:Put",
        "ObjectTagging:Delete",
        "ObjectAcl:Put",
        "ObjectRestore:Post",
        "ObjectRestore:Completed",
    ]


def test_changes_of_locks_are_logged_though_nobody_can_ask_for_them(
    store: InProcessStore, client: Any, bucket: str, receiver: Receiver
) -> None:
    """For readers other than notifications."""
    del receiver
    name = f"{bucket}-locked"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    configured(client, name, "s3:ObjectCreated:*")
    client.put_object(Bucket=name, Key="k", Body=b"x")
    for status in ("ON", "OFF"):
        client.put_object_legal_hold(Bucket=name, Key="k", LegalHold={"Status": status})
    query = "SELECT event FROM change c JOIN bucket b ON b.id = c.bucket WHERE b.name = ? ORDER BY seq"
    found = [event for (event,) in store.rows(query, name)]
    assert found == ["ObjectCreated:Put", "ObjectLegalHold:Put", "ObjectLegalHold:Put"]
    with refused("InvalidArgument", 400):
        configured(client, name, "s3:ObjectLegalHold:Put")
