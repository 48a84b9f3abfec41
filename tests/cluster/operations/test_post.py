"""POST Object: browser forms."""

from __future__ import annotations

from typing import Any
from urllib.request import urlopen

import pytest

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import MIB, content
from tests.cluster.operations.forms import by_v2, by_v4, policy_text, post


@pytest.mark.parametrize("size", [0, 7, 20_000, 9 * MIB + 1])
@pytest.mark.parametrize("version", [2, 4])
def test_post_object_stores_what_its_policy_allows(
    store: InProcessStore, client: Any, bucket: str, size: int, version: int
) -> None:
    conditions: list[Any] = [
        {"bucket": bucket},
        ["starts-with", "$key", "up/"],
        ["eq", "$x-amz-meta-colour", "blue"],
        ["starts-with", "$Content-Type", "text/"],
        ["content-length-range", size, size],
    ]
    signed = by_v2(policy_text(*conditions)) if version == 2 else by_v4(*conditions)
    fields = {"key": "up/${filename}", "X-Amz-Meta-Colour": "blue", "Content-Type": "text/css"} | signed
    answer = post(store, bucket, fields, content(size))
    assert (answer.status, answer.body) == (204, b"")
    found = client.get_object(Bucket=bucket, Key="up/a.txt")
    assert found["Body"].read() == content(size)
    assert (found["Metadata"], found["ContentType"]) == ({"colour": "blue"}, "text/css")
    assert answer.headers["etag"] == found["ETag"]


def test_post_object_answers_as_the_form_asks(store: InProcessStore, bucket: str) -> None:
    def answer(**more: str) -> Any:
        conditions = [["starts-with", f"${name}", ""] for name in more]
        return post(store, bucket, {"key": "a b", **more} | by_v4({"bucket": bucket}, {"key": "a b"}, *conditions))

    assert answer(success_action_status="200").status == 200
    assert answer(success_action_status="404").status == 204
    created = answer(success_action_status="201")
    etag, location = created.headers["etag"], f"http://127.0.0.1:{store.port}/{bucket}/a%20b"
    assert created.headers["location"] == location
    assert f"<Location>{location}</Location><Bucket>{bucket}</Bucket><Key>a b</Key>" in created.body.decode()
    redirected = answer(success_action_redirect="http://example.com/done?x=1", success_action_status="201")
    query = f"x=1&bucket={bucket}&key=a%20b&etag=%22{etag[1:-1]}%22"
    assert (redirected.status, redirected.headers["location"]) == (303, f"http://example.com/done?{query}")
    assert answer(redirect="http://example.com/").status == 303
    assert answer(success_action_redirect="//nowhere").status == 204


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"key": "other"}, "AccessDenied", 403),
        ({"x-amz-meta-more": "1"}, "AccessDenied", 403),
        ({"AWSAccessKeyId": "NOSUCHKEY"}, "InvalidAccessKeyId", 403),
        ({"signature": "AAAA"}, "SignatureDoesNotMatch", 403),
        ({"policy": policy_text({"key": "k"}, seconds=-10)}, "SignatureDoesNotMatch", 403),
        ({"signature": None}, "InvalidArgument", 400),
        ({"policy": None}, "InvalidArgument", 400),
        ({"key": None}, "InvalidArgument", 400),
        ({"policy": None, "signature": None, "AWSAccessKeyId": None}, "AccessDenied", 403),
        ({"x-amz-checksum-sha256": "sailorjerry"}, "BadDigest", 400),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest", 400),
    ],
)  # fmt: skip
def test_post_object_of_a_wrong_form_is_refused(
    store: InProcessStore, client: Any, bucket: str, *, change: dict[str, str | None], code: str, status: int
) -> None:
    fields: dict[str, Any] = {"key": "k"} | by_v2(policy_text({"bucket": bucket}, {"key": "k"})) | change
    answer = post(store, bucket, {name: value for name, value in fields.items() if value is not None})
    assert (answer.code, answer.status) == (code, status)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(("size", "code"), [(9, "EntityTooSmall"), (5 * MIB, "EntityTooLarge")])
def test_post_object_of_a_size_that_is_not_allowed_is_refused(
    store: InProcessStore, client: Any, bucket: str, size: int, code: str
) -> None:
    policy = policy_text({"bucket": bucket}, {"key": "k"}, ["content-length-range", 10, 4 * MIB + 10])
    answer = post(store, bucket, {"key": "k"} | by_v2(policy), content(size))
    assert (answer.code, answer.status) == (code, 400)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_post_object_expired_policy_is_refused(store: InProcessStore, bucket: str) -> None:
    answer = post(store, bucket, {"key": "k"} | by_v2(policy_text({"bucket": bucket}, {"key": "k"}, seconds=-10)))
    assert (answer.code, answer.status) == ("AccessDenied", 403)


def test_post_object_of_another_account_is_refused(store: InProcessStore, bucket: str) -> None:
    _, secret = store.add_user("poster")
    answer = post(store, bucket, {"key": "k"} | by_v2(policy_text({"bucket": bucket}, {"key": "k"}), secret))
    assert answer.code == "SignatureDoesNotMatch"


def test_post_object_of_what_is_no_form_is_refused(store: InProcessStore, bucket: str) -> None:
    answer = post(store, bucket, {"key": "k"}, headers=[("Content-Type", "text/plain")])
    assert (answer.code, answer.status) == ("PreconditionFailed", 412)
    missing = post(store, "no-such-bucket", {"key": "k"})
    assert (missing.code, missing.status) == ("NoSuchBucket", 404)


def test_post_object_stores_tags(store: InProcessStore, client: Any, bucket: str) -> None:
    tagging = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1</Value></Tag></TagSet></Tagging>"
    fields = {"key": "k", "tagging": tagging} | by_v4({"bucket": bucket}, {"key": "k"}, ["starts-with", "$tagging", ""])
    assert post(store, bucket, fields).status == 204
    assert client.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a b", "Value": "1"}]


def test_signature_version_2_in_header_and_url(store: InProcessStore, bucket: str) -> None:
    client = store.client(signature_version="s3")
    client.put_object(Bucket=bucket, Key="k v+", Body=b"content", Metadata={"a": "b"})
    url = client.generate_presigned_url(
        "get_object", {"Bucket": bucket, "Key": "k v+", "ResponseContentType": "text/x"}
    )
    assert "AWSAccessKeyId" in url
    with urlopen(url) as answer:
        assert (answer.read(), answer.headers["content-type"]) == (b"content", "text/x")
    client.delete_object(Bucket=bucket, Key="k v+")
