"""delta-rs: a table whose commits race by conditional PUT, without any lock table."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

bucket = sys.argv[1]
url = os.environ["AWS_ENDPOINT_URL"]
boto3.client("s3", verify=os.environ.get("AWS_CA_BUNDLE")).create_bucket(Bucket=bucket)
options = {"conditional_put": "etag", "allow_http": "true", "aws_endpoint": url, "aws_region": "us-east-1"}
if url.startswith("https"):
    options["allow_invalid_certificates"] = "true"
where = f"s3://{bucket}/table"
write_deltalake(where, pa.table({"id": [0], "by": ["first"]}), storage_options=options)


def append(writer: int) -> None:
    for n in range(3):
        write_deltalake(where, pa.table({"id": [n], "by": [f"w{writer}"]}), mode="append", storage_options=options)


with ThreadPoolExecutor(4) as writers:
    list(writers.map(append, range(4)))
table = DeltaTable(where, storage_options=options)
assert table.version() == 12, table.version()
assert len(table.to_pyarrow_table() if hasattr(table, "to_pyarrow_table") else table.to_pandas()) == 13
table.delete("by = 'first'")
assert DeltaTable(where, version=0, storage_options=options).version() == 0
