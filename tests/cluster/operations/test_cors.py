"""CORS: rules of buckets, preflights, and what other answers say of sharing."""

from __future__ import annotations

from typing import Any

import pytest

from cli.store import change, database_of
from cyxcloud.meta import bucket_config
from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import Answer, raw, refused

RULES = {
    "CORSRules": [
        {
            "ID": "one",
            "AllowedMethods": ["GET", "PUT"],
            "AllowedOrigins": ["http://*.example"],
            "AllowedHeaders": ["x-amz-*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 60,
        },
        {"AllowedMethods": ["HEAD"], "AllowedOrigins": ["*"]},
    ]
}
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


@pytest.fixture
def shared(client: Any, bucket: str) -> str:
    client.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    client.put_object(Bucket=bucket, Key="k", Body=b"content")
    return bucket


def allowed(answer: Answer) -> dict[str, str]:
    return {name[15:]: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def preflight(store: InProcessStore, path: str, **headers: str) -> Answer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return raw(store, "OPTIONS", path, headers=given, signed=False)


def test_rules_are_kept_and_removed(client: Any, bucket: str) -> None:
    with refused("NoSuchCORSConfiguration", 404):
        client.get_bucket_cors(Bucket=bucket)
    client.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    assert client.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES["CORSRules"]
    client.delete_bucket_cors(Bucket=bucket)
    with refused("NoSuchCORSConfiguration", 404):
        client.get_bucket_cors(Bucket=bucket)


def test_preflight_of_what_is_allowed(store: InProcessStore, shared: str) -> None:
    asked = {"origin": "http://a.example", "access_control_request_method": "PUT"}
    answer = preflight(store, f"/{shared}/k", **asked, access_control_request_headers="X-Amz-Meta-A, x-amz-date")
    assert (answer.status, answer.body, answer.headers["vary"]) == (200, b"", VARY)
    assert allowed(answer) == {
        "allow-origin": "http://a.example",
        "allow-methods": "GET, PUT",
        "allow-headers": "x-amz-meta-a, x-amz-date",
        "allow-credentials": "true",
        "expose-headers": "ETag",
        "max-age": "60",
    }
    anyone = preflight(store, f"/{shared}", origin="http://other", access_control_request_method="HEAD")
    assert allowed(anyone) == {"allow-origin": "*", "allow-methods": "HEAD"}


@pytest.mark.parametrize(
    ("headers", "code", "status"),
    [
        ({}, "BadRequest", 400),
        ({"origin": "http://a.example"}, "BadRequest", 400),
        ({"origin": "http://a.example", "access_control_request_method": "PATCH"}, "BadRequest", 400),
        ({"origin": "http://a.example", "access_control_request_method": "DELETE"}, "AccessForbidden", 403),
        ({"origin": "http://other", "access_control_request_method": "PUT"}, "AccessForbidden", 403),
        (
            {"origin": "http://a.example", "access_control_request_method": "PUT", "access_control_request_headers": "range"},
            "AccessForbidden",
            403,
        ),
    ],
)  # fmt: skip
def test_preflight_of_what_is_not_allowed(
    store: InProcessStore, shared: str, headers: dict[str, str], code: str, status: int
) -> None:
    answer = preflight(store, f"/{shared}/k?X-Amz-Signature=presigned", **headers)
    assert (answer.code, answer.status, allowed(answer)) == (code, status, {})


def test_preflight_of_a_bucket_without_rules(store: InProcessStore, bucket: str) -> None:
    asked = {"origin": "http://a.example", "access_control_request_method": "PUT"}
    answer = preflight(store, f"/{bucket}", **asked)
    assert (answer.code, answer.status) == ("AccessForbidden", 403)
    assert b"CORS is not enabled for this bucket" in answer.body
    assert b"<Method>PUT</Method><ResourceType>BUCKET</ResourceType>" in answer.body
    assert preflight(store, "/no-such-bucket", **asked).code == "NoSuchBucket"


def test_answers_say_what_is_shared(store: InProcessStore, shared: str) -> None:
    told = raw(store, "GET", f"/{shared}/k", headers={"origin": "http://a.example"})
    assert allowed(told)["allow-origin"] == "http://a.example"
    assert (told.body, told.headers["vary"]) == (b"content", VARY)
    refusal = raw(store, "GET", f"/{shared}/absent", headers={"origin": "http://a.example"})
    assert (refusal.status, allowed(refusal)["allow-origin"]) == (404, "http://a.example")
    unsigned = raw(store, "PUT", f"/{shared}/k", headers={"origin": "http://a.example"}, signed=False)
    assert (unsigned.status, allowed(unsigned)["allow-methods"]) == (403, "GET, PUT")


def test_answers_to_others_say_nothing(store: InProcessStore, shared: str) -> None:
    other = raw(store, "GET", f"/{shared}/k", headers={"origin": "http://other"})
    assert (other.status, allowed(other), other.headers["vary"]) == (200, {}, VARY)
    plain = raw(store, "GET", f"/{shared}/k")
    assert (allowed(plain), "vary" in plain.headers) == ({}, False)


def test_rules_that_cannot_be_read_share_nothing(store: InProcessStore, client: Any, shared: str) -> None:
    [(bucket_id,)] = store.rows("SELECT id FROM bucket WHERE name = ?", shared)
    database = database_of(store.home)
    try:
        change(database, lambda conn: bucket_config.put(conn, bucket_id, "cors", b"\x02rules of another version"))
    finally:
        database.close()
    answer = raw(store, "GET", f"/{shared}/k", headers={"origin": "http://a.example"})
    assert (answer.status, answer.body, allowed(answer)) == (200, b"content", {})
    asked = preflight(store, f"/{shared}/k", origin="http://a.example", access_control_request_method="GET")
    assert (asked.status, allowed(asked)) == (500, {})
