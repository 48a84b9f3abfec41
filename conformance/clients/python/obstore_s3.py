"""obstore (Rust's object_store): conditional puts, ranges, parts, listings, copies."""

import os
import sys

import boto3
import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import S3Store

bucket = sys.argv[1]
url = os.environ["AWS_ENDPOINT_URL"]
boto3.client("s3", verify=os.environ.get("AWS_CA_BUNDLE")).create_bucket(Bucket=bucket)
options = {"allow_http": True} if url.startswith("http:") else {"allow_invalid_certificates": True}
store = S3Store(bucket, endpoint=url, region="us-east-1", virtual_hosted_style_request=False, client_options=options)

first = obstore.put(store, "lock", b"one", mode="create")
try:
    obstore.put(store, "lock", b"two", mode="create")
    raise SystemExit("a second create went through")
except AlreadyExistsError:
    pass
second = obstore.put(store, "lock", b"two", mode={"e_tag": first["e_tag"]})
try:
    obstore.put(store, "lock", b"three", mode={"e_tag": first["e_tag"]})
    raise SystemExit("an update with an old ETag went through")
except PreconditionError:
    pass
assert obstore.get(store, "lock").bytes() == b"two"
body = os.urandom(15 << 20)
obstore.put(store, "dir/big", body, use_multipart=True, chunk_size=5 << 20)
assert obstore.get_range(store, "dir/big", start=7, length=100) == body[7:107]
assert [bytes(part) for part in obstore.get_ranges(store, "dir/big", starts=[0, 9 << 20], lengths=[5, 5])] == [
    body[:5],
    body[9 << 20 : (9 << 20) + 5],
]
obstore.copy(store, "dir/big", "dir/copy")
assert {each["path"] for each in obstore.list(store).collect()} == {"lock", "dir/big", "dir/copy"}
assert obstore.list_with_delimiter(store)["common_prefixes"] == ["dir"]
obstore.delete(store, ["lock", "dir/big", "dir/copy"])
assert obstore.list(store).collect() == []
