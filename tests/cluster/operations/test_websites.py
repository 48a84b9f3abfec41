"""Buckets as websites, at hosts of their own."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pytest

from tests.cluster.inprocess import ACCESS, SECRET, WEBSITES, InProcessStore
from tests.cluster.operations.calls import MIB, Answer, content, refused
from tests.cluster.s3 import Endpoint, Key, Request, Signing

SITE = {
    "IndexDocument": {"Suffix": "index.html"},
    "ErrorDocument": {"Key": "error.html"},
    "RoutingRules": [
        {
            "Condition": {"KeyPrefixEquals": "old/"},
            "Redirect": {"ReplaceKeyPrefixWith": "new/", "HttpRedirectCode": "302"},
        },
        {
            "Condition": {"KeyPrefixEquals": "api/", "HttpErrorCodeReturnedEquals": "404"},
            "Redirect": {"HostName": "api.example", "Protocol": "https", "HttpRedirectCode": "301"},
        },
    ],
}


@pytest.fixture
def site(client: Any, bucket: str) -> str:
    """Anybody may read and list; `private.html` nobody may."""
    client.put_bucket_website(Bucket=bucket, WebsiteConfiguration=SITE)
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"},
        {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"},
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{bucket}/private.html",
        },
    ]
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    for key in ("index.html", "a/index.html", "error.html", "page.html"):
        client.put_object(Bucket=bucket, Key=key, Body=f"<{key}>".encode(), ContentType="text/html")
    return bucket


def visit(
    store: InProcessStore, bucket: str, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Answer:
    with closing(http.client.HTTPConnection("127.0.0.1", store.port, timeout=20)) as connection:
        connection.request(method, path, headers={"Host": f"{bucket}.{WEBSITES}", **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def test_website_is_kept_and_removed(client: Any, bucket: str) -> None:
    with refused("NoSuchWebsiteConfiguration", 404):
        client.get_bucket_website(Bucket=bucket)
    client.put_bucket_website(Bucket=bucket, WebsiteConfiguration=SITE)
    found = client.get_bucket_website(Bucket=bucket)
    assert {name: found[name] for name in SITE} == SITE
    client.delete_bucket_website(Bucket=bucket)
    with refused("NoSuchWebsiteConfiguration", 404):
        client.get_bucket_website(Bucket=bucket)


def test_pages_and_indexes(store: InProcessStore, site: str) -> None:
    for path, key in (("/", "index.html"), ("/a/", "a/index.html"), ("/page.html?x=1&acl", "page.html")):
        answer = visit(store, site, path)
        assert (answer.status, answer.body) == (200, f"<{key}>".encode()), path
        assert answer.headers["content-type"] == "text/html"
    head = visit(store, site, "/page.html", "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "11")
    part = visit(store, site, "/page.html", headers={"Range": "bytes=1-4"})
    assert (part.status, part.body) == (206, b"page")
    unchanged = visit(store, site, "/page.html", headers={"If-None-Match": head.headers["etag"]})
    assert (unchanged.status, unchanged.body) == (304, b"")


def test_folder_without_its_slash_is_redirected(store: InProcessStore, site: str) -> None:
    answer = visit(store, site, "/a")
    assert (answer.status, answer.headers["location"]) == (302, "/a/")


def test_error_document_has_the_status_of_the_error(store: InProcessStore, client: Any, site: str) -> None:
    missing = visit(store, site, "/missing", headers={"Range": "bytes=1-2"})
    assert (missing.status, missing.body) == (404, b"<error.html>")
    private = visit(store, site, "/private.html")
    assert (private.status, private.body) == (403, b"<error.html>")
    client.delete_object(Bucket=site, Key="error.html")
    plain = visit(store, site, "/missing<x>")
    assert (plain.status, plain.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"<h1>404 Not Found</h1>" in plain.body
    assert b"<li>Code: NoSuchKey</li>" in plain.body
    assert b"<x>" not in plain.body
    assert visit(store, site, "/missing", "HEAD").body == b""


def test_routing_rules(store: InProcessStore, client: Any, site: str) -> None:
    moved = visit(store, site, "/old/a%20b")
    assert (moved.status, moved.headers["location"]) == (302, f"http://{site}.{WEBSITES}/new/a%20b")
    api = visit(store, site, "/api/x")
    assert (api.status, api.headers["location"]) == (301, "https://api.example/api/x")
    client.put_object(Bucket=site, Key="api/x", Body=b"there")
    assert visit(store, site, "/api/x").body == b"there"


def test_redirect_of_everything(store: InProcessStore, client: Any, bucket: str) -> None:
    to = {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}}
    client.put_bucket_website(Bucket=bucket, WebsiteConfiguration=to)
    answer = visit(store, bucket, "/a/b")
    assert (answer.status, answer.headers["location"]) == (301, "https://example.com/a/b")


@pytest.mark.parametrize("size", [0, 5 * MIB])
def test_redirect_of_an_object(store: InProcessStore, client: Any, site: str, size: int) -> None:
    client.put_object(Bucket=site, Key="gone", Body=content(size), WebsiteRedirectLocation="/page.html")
    answer = visit(store, site, "/gone")
    assert (answer.status, answer.headers["location"], answer.body) == (301, "/page.html", b"")
    assert client.head_object(Bucket=site, Key="gone")["WebsiteRedirectLocation"] == "/page.html"
    client.copy_object(Bucket=site, Key="copied", CopySource=f"{site}/gone")
    assert "WebsiteRedirectLocation" not in client.head_object(Bucket=site, Key="copied")
    client.copy_object(Bucket=site, Key="gone", CopySource=f"{site}/gone", WebsiteRedirectLocation="http://x/")
    assert client.head_object(Bucket=site, Key="gone")["WebsiteRedirectLocation"] == "http://x/"
    with refused("InvalidRedirectLocation", 400):
        client.put_object(Bucket=site, Key="k", WebsiteRedirectLocation="page.html")


def test_what_is_private_is_not_shown(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_bucket_website(Bucket=bucket, WebsiteConfiguration=SITE)
    client.put_object(Bucket=bucket, Key="index.html", Body=b"secret")
    answer = visit(store, bucket, "/")
    assert (answer.status, b"<li>Code: AccessDenied</li>" in answer.body) == (403, True)
    # Nor to one who signs: a website knows nobody, whatever the request says.
    signed = Signing(Key(ACCESS, SECRET)).by_header(Request("GET", "/"), Endpoint(f"{bucket}.{WEBSITES}", 80))
    assert visit(store, bucket, "/", headers=dict(signed.headers)).status == 403


def test_what_is_no_website(store: InProcessStore, bucket: str) -> None:
    assert b"<li>Code: NoSuchWebsiteConfiguration</li>" in visit(store, bucket, "/").body
    assert b"<li>Code: NoSuchBucket</li>" in visit(store, "no-such-bucket", "/").body
    posted = visit(store, bucket, "/", "DELETE")
    assert (posted.status, b"<li>Code: MethodNotAllowed</li>" in posted.body) == (405, True)
