"""Requester pays: who does not say so is refused, the owner aside."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import raw, refused


def test_requester_pays(store: InProcessStore, client: Any, bucket: str) -> None:
    other = store.client(*store.add_user("payer"))
    assert client.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    client.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert client.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    stored = client.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert "RequestCharged" not in stored
    with refused("AccessDenied", 403):
        other.get_object(Bucket=bucket, Key="k")
    assert other.get_object(Bucket=bucket, Key="k", RequestPayer="requester")["RequestCharged"] == "requester"
    anybody = raw(store, "GET", f"/{bucket}/k", headers={"x-amz-request-payer": "requester"}, signed=False)
    assert (anybody.code, anybody.status) == ("AccessDenied", 403)
    client.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    assert other.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_payer_who_is_nobody_is_refused(client: Any, bucket: str) -> None:
    with refused("MalformedXML", 400):
        client.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Nobody"})
