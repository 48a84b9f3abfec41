"""pandas over s3fs (fsspec): CSV and Parquet by s3:// URLs, globbing, removal."""

import os
import sys

import pandas as pd
import s3fs

bucket = sys.argv[1]
options = {"client_kwargs": {"endpoint_url": os.environ["AWS_ENDPOINT_URL"], "verify": os.environ.get("AWS_CA_BUNDLE")}}
files = s3fs.S3FileSystem(**options)
files.mkdir(bucket)
frame = pd.DataFrame({"id": range(100_000), "name": [f"row {n}" for n in range(100_000)]})
frame.to_csv(f"s3://{bucket}/one.csv", index=False, storage_options=options)
frame.to_parquet(f"s3://{bucket}/one.parquet", storage_options=options)
assert pd.read_csv(f"s3://{bucket}/one.csv", storage_options=options).equals(frame)
assert pd.read_parquet(f"s3://{bucket}/one.parquet", columns=["id"], storage_options=options)["id"].sum() == 4999950000
assert sorted(files.glob(f"{bucket}/*")) == [f"{bucket}/one.csv", f"{bucket}/one.parquet"]
with files.open(f"{bucket}/append", "wb") as file:
    file.write(b"a" * (6 << 20))
with files.open(f"{bucket}/append", "ab") as file:
    file.write(b"b" * 10)
assert files.info(f"{bucket}/append")["size"] == (6 << 20) + 10
files.rm(f"{bucket}", recursive=True)
