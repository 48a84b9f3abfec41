"""Apache OpenDAL: write, range read, stat, list, copy, presign, remove all."""

import os
import sys

import boto3
import opendal

bucket = sys.argv[1]
boto3.client("s3", verify=os.environ.get("AWS_CA_BUNDLE")).create_bucket(Bucket=bucket)
store = opendal.Operator(
    "s3",
    bucket=bucket,
    endpoint=os.environ["AWS_ENDPOINT_URL"],
    region="us-east-1",
    access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
    secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
)
body = os.urandom(11 << 20)
with store.open("dir/big", "wb") as file:
    file.write(body)
assert store.read("dir/big") == body
store.write("dir/small", b"hello", content_type="text/plain")
assert store.stat("dir/small").content_length == 5
assert {entry.path for entry in store.list("dir/")} >= {"dir/big", "dir/small"}
store.copy("dir/small", "dir/copy")
assert store.read("dir/copy") == b"hello"
store.delete("dir/copy")
assert not store.exists("dir/copy")
store.remove_all("dir/")
assert not store.exists("dir/big")
