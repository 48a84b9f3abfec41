"""PyIceberg with a SQL catalog: a table made, appended to, evolved, deleted from and read again from the bucket."""

import os
import sys
import tempfile

import boto3
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import GreaterThanOrEqual
from pyiceberg.types import StringType

bucket = sys.argv[1]
ca = os.environ.get("AWS_CA_BUNDLE")
boto3.client("s3", verify=ca).create_bucket(Bucket=bucket)
with tempfile.TemporaryDirectory() as folder:
    properties = {
        "uri": f"sqlite:///{folder}/catalog.db",
        "warehouse": f"s3://{bucket}/warehouse",
        "s3.endpoint": os.environ["AWS_ENDPOINT_URL"],
        "s3.access-key-id": os.environ["AWS_ACCESS_KEY_ID"],
        "s3.secret-access-key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "s3.region": "us-east-1",
    }
    if ca:
        properties["py-io-impl"] = "pyiceberg.io.fsspec.FsspecFileIO"
    catalog = SqlCatalog("conformance", **properties)
    catalog.create_namespace("shop")
    rows = pa.table({"id": pa.array(range(10_000), pa.int64()), "name": [f"n{n}" for n in range(10_000)]})
    table = catalog.create_table("shop.orders", schema=rows.schema)
    table.append(rows)
    table.append(rows)
    assert table.scan(row_filter=GreaterThanOrEqual("id", 9_000)).to_arrow().num_rows == 2_000
    with table.update_schema() as update:
        update.add_column("note", StringType())
    table.delete(GreaterThanOrEqual("id", 5_000))
    again = catalog.load_table("shop.orders")
    assert again.scan().to_arrow().num_rows == 10_000
    assert len(again.history()) >= 3
    catalog.drop_table("shop.orders")
