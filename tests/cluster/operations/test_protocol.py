"""HTTP below the operations: who is told to go on, other ways to date and sign, and what is not there."""

from __future__ import annotations

import socket
from contextlib import closing
from email.utils import formatdate
from typing import Any

import pytest

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import raw, refused


def first_line(store: InProcessStore, bucket: str) -> str:
    """Of what an unsigned PUT hears that waits to be told to go on."""
    with closing(socket.create_connection(("127.0.0.1", store.port), 10)) as connection:
        head = f"PUT /{bucket}/k HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        line = connection.makefile().readline().strip()
        if line.startswith("HTTP/1.1 100"):
            connection.sendall(b"bar")
            rest = connection.makefile().read(20)
            assert rest.strip().startswith("HTTP/1.1 200")
        return line


def test_only_who_may_write_is_told_to_send_the_body(store: InProcessStore, client: Any, bucket: str) -> None:
    assert first_line(store, bucket) == "HTTP/1.1 403 Forbidden"
    client.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    assert first_line(store, bucket) == "HTTP/1.1 100 Continue"
    assert client.list_objects_v2(Bucket=bucket)["Contents"][0]["Size"] == 3


@pytest.mark.parametrize(
    ("method", "query"),
    [("GET", (("torrent", ""),)), ("POST", (("select", ""), ("select-type", "2"))), ("PUT", (("renameObject", ""),))],
)
def test_what_is_not_there_is_not_implemented(
    store: InProcessStore, client: Any, bucket: str, method: str, query: tuple[tuple[str, str], ...]
) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"content")
    answer = raw(store, method, f"/{bucket}/k", query=query)
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"content"


def test_sub_resource_that_nobody_knows_does_not_reach_the_bucket(
    store: InProcessStore, client: Any, bucket: str
) -> None:
    for name in ("no-such-thing", "intelligent-tiering", "analytics", "metrics"):
        assert raw(store, "DELETE", f"/{bucket}", query=((name, ""),)).status == 501
    assert client.head_bucket(Bucket=bucket)


@pytest.mark.parametrize("seconds", [-1, 604801, "soon"])
def test_presigned_url_beyond_its_limits_is_refused(store: InProcessStore, bucket: str, seconds: Any) -> None:
    client = store.client(signature_version="s3v4")
    url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}, ExpiresIn=900)
    answer = raw(store, "GET", url.removeprefix(store.url).replace("Expires=900", f"Expires={seconds}"), signed=False)
    assert (answer.status, answer.code) == (400, "AuthorizationQueryParametersError")


def test_signature_version_2_with_a_date_is_taken_and_an_old_one_is_not(store: InProcessStore, bucket: str) -> None:
    client = store.client(signature_version="s3")
    client.put_object(Bucket=bucket, Key="k", Body=b"x")

    def date_it(**event: Any) -> None:
        event["params"]["headers"]["x-amz-date"] = formatdate(0, usegmt=True)

    client.meta.events.register("before-call.s3.PutObject", date_it)
    with refused("RequestTimeTooSkewed", 403):
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
