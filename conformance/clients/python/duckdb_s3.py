"""DuckDB's httpfs: COPY to Parquet and CSV in a bucket, globs, range reads of single columns."""

import os
import sys
from pathlib import Path

import boto3
import duckdb

bucket = sys.argv[1]
url = os.environ["AWS_ENDPOINT_URL"]
s3 = boto3.client("s3", verify=os.environ.get("AWS_CA_BUNDLE"))
s3.create_bucket(Bucket=bucket)
# The package of the extension lays it beside DuckDB's own; nothing is fetched.
packages = Path(duckdb.__file__).parent.parent
extension = next(packages.glob(f"duckdb_ext/extensions/v{duckdb.__version__}/*/httpfs.duckdb_extension"))
db = duckdb.connect()
db.execute(f"LOAD '{extension}'")
if ca := os.environ.get("AWS_CA_BUNDLE"):
    db.execute("SET ca_cert_file = ?", [ca])
db.execute(
    f"""CREATE SECRET (TYPE s3, PROVIDER config, KEY_ID '{os.environ["AWS_ACCESS_KEY_ID"]}',
    SECRET '{os.environ["AWS_SECRET_ACCESS_KEY"]}', ENDPOINT '{url.partition("://")[2]}', URL_STYLE 'path',
    USE_SSL {str(url.startswith("https")).lower()}, REGION 'us-east-1')"""
)
db.execute("CREATE TABLE numbers AS SELECT range AS id, 'row ' || range AS name, range % 3 AS part FROM range(200000)")
db.execute(f"COPY numbers TO 's3://{bucket}/one.parquet' (FORMAT parquet)")
db.execute(f"COPY numbers TO 's3://{bucket}/parts' (FORMAT parquet, PARTITION_BY (part))")
db.execute(f"COPY numbers TO 's3://{bucket}/one.csv' (FORMAT csv)")
assert db.sql(f"SELECT sum(id) FROM 's3://{bucket}/one.parquet'").fetchone() == (19999900000,)
assert db.sql(f"SELECT count(*) FROM read_parquet('s3://{bucket}/parts/*/*.parquet')").fetchone() == (200000,)
assert db.sql(f"SELECT count(*) FROM 's3://{bucket}/one.csv' WHERE id % 2 = 0").fetchone() == (100000,)
assert len(db.sql(f"SELECT * FROM glob('s3://{bucket}/**')").fetchall()) == 5
