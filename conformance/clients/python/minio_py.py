"""minio-py: objects, parts, conditional reads, batch deletes, presigned URLs."""

import io
import os
import sys
from datetime import timedelta

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject

bucket = sys.argv[1]
url = os.environ["AWS_ENDPOINT_URL"]
pool = urllib3.PoolManager(ca_certs=os.environ.get("AWS_CA_BUNDLE"))
client = Minio(
    url.partition("://")[2],
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    secure=url.startswith("https"),
    region="us-east-1",
    http_client=pool,
)
client.make_bucket(bucket)
assert client.bucket_exists(bucket)

body = os.urandom(12 << 20)
client.put_object(bucket, "a/big", io.BytesIO(body), len(body), part_size=5 << 20)
client.put_object(bucket, "a/unsized", io.BytesIO(body), -1, part_size=6 << 20)
client.put_object(bucket, "a/ü +&?", io.BytesIO(b"small"), 5, metadata={"colour": "blue"})
for key, expected in (("a/big", body), ("a/unsized", body), ("a/ü +&?", b"small")):
    with client.get_object(bucket, key) as answer:
        assert answer.data == expected, key
with client.get_object(bucket, "a/big", offset=100, length=1000) as answer:
    assert answer.data == body[100:1100]
assert client.stat_object(bucket, "a/ü +&?").metadata["x-amz-meta-colour"] == "blue"
assert {each.object_name for each in client.list_objects(bucket, recursive=True)} == {"a/big", "a/unsized", "a/ü +&?"}
assert [each.object_name for each in client.list_objects(bucket)] == ["a/"]

shared = client.presigned_get_object(bucket, "a/ü +&?", expires=timedelta(minutes=5))
assert pool.request("GET", shared).data == b"small"

names = [DeleteObject(each.object_name) for each in client.list_objects(bucket, recursive=True)]
assert list(client.remove_objects(bucket, names)) == []
client.remove_bucket(bucket)
