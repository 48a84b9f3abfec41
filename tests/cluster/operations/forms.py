"""Browser forms as tests send them, signed by Signature Version 2 or 4 of the tests' own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cluster.inprocess import ACCESS, SECRET, InProcessStore
from tests.cluster.operations.calls import Answer

BOUNDARY = "boundary-of-the-test"


def policy_text(*conditions: Any, seconds: int = 600) -> str:
    expiration = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return base64.b64encode(json.dumps({"expiration": expiration, "conditions": conditions}).encode()).decode()


def by_v2(policy: str, secret: str = SECRET) -> dict[str, str]:
    signature = base64.b64encode(hmac.new(secret.encode(), policy.encode(), hashlib.sha1).digest()).decode()
    return {"AWSAccessKeyId": ACCESS, "policy": policy, "signature": signature}


def by_v4(*conditions: Any, secret: str = SECRET) -> dict[str, str]:
    now = datetime.now(UTC)
    date = now.strftime("%Y%m%d")
    fields = {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{ACCESS}/{date}/us-east-1/s3/aws4_request",
        "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ"),
    }
    policy = policy_text(*conditions, *({name: value} for name, value in fields.items()))
    key = b"AWS4" + secret.encode()
    for step in (date, "us-east-1", "s3", "aws4_request", policy):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return fields | {"policy": policy, "x-amz-signature": key.hex()}


def form_of(fields: dict[str, str], content: bytes, file_name: str = "a.txt") -> bytes:
    text = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    file = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"\r\n\r\n'
    return (text + file).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def post(
    store: InProcessStore,
    bucket: str,
    fields: dict[str, str],
    content: bytes = b"content",
    *,
    headers: Sequence[tuple[str, str]] = (),
) -> Answer:
    body = form_of(fields, content)
    given = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"} | dict(headers)
    with closing(http.client.HTTPConnection("127.0.0.1", store.port, timeout=20)) as connection:
        connection.request("POST", f"/{bucket}", body, given)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
