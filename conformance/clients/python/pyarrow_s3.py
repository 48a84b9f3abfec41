"""pyarrow's S3FileSystem: Parquet written in parts, a partitioned data set read by glob and by column."""

import os
import sys

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

bucket = sys.argv[1]
url = os.environ["AWS_ENDPOINT_URL"]
ca = os.environ.get("AWS_CA_BUNDLE")
files = fs.S3FileSystem(
    endpoint_override=url.partition("://")[2],
    scheme=url.partition("://")[0],
    region="us-east-1",
    allow_bucket_creation=True,
    allow_bucket_deletion=True,
    **({"tls_ca_file_path": ca} if ca else {}),
)
files.create_dir(bucket)

table = pa.table(
    {"id": range(300_000), "name": [f"row {n}" for n in range(300_000)], "part": [n % 4 for n in range(300_000)]}
)
pq.write_table(table, f"{bucket}/one.parquet", filesystem=files, row_group_size=50_000)
assert pq.read_table(f"{bucket}/one.parquet", columns=["id"], filesystem=files)["id"].to_pylist()[-1] == 299_999

ds.write_dataset(table, f"{bucket}/set", format="parquet", partitioning=["part"], filesystem=files)
found = ds.dataset(f"{bucket}/set", filesystem=files, partitioning=["part"])
assert found.to_table(filter=ds.field("part") == 3).num_rows == 75_000

with files.open_output_stream(f"{bucket}/stream") as out:
    for _ in range(20):
        out.write(b"x" * (1 << 20))
assert files.get_file_info(f"{bucket}/stream").size == 20 << 20
files.copy_file(f"{bucket}/stream", f"{bucket}/copy")
files.move(f"{bucket}/copy", f"{bucket}/moved")
assert files.get_file_info(f"{bucket}/copy").type == fs.FileType.NotFound
files.delete_dir_contents(bucket)
files.delete_dir(bucket)
