"""Every S3 operation, one row each: how a request for it looks, what it needs to be allowed, who handles it (pure).

The rows stand by resource in the modules beside this one; `row.py` says how one is written.

A row without a handler is answered with NotImplemented; it stands here so that its requests are recognised and never
taken for those of another operation. A row with one lists every query parameter and x-amz header that it *understands*,
and `resolve.py` refuses the others: what is ignored may have changed the request's meaning. Understood does not mean
granted: handlers refuse the values whose feature is not there.
"""

from __future__ import annotations

from s3gw.operations.buckets import BUCKET_ROWS as _BUCKETS_THEMSELVES
from s3gw.operations.buckets import SERVICE_ROWS
from s3gw.operations.configurations import CONFIGURATION_ROWS
from s3gw.operations.multipart import MULTIPART_ROWS
from s3gw.operations.objects import OBJECT_ROWS as _OBJECTS_THEMSELVES
from s3gw.operations.row import COMMON_HEADER_PREFIXES, BodyKind, Operation, Target, words

__all__ = [
    "BUCKET_ROWS",
    "COMMON_HEADER_PREFIXES",
    "HEADER_KINDS",
    "OBJECT_ROWS",
    "OPERATIONS",
    "SERVICE_ROWS",
    "BodyKind",
    "Operation",
    "Target",
    "words",
]

BUCKET_ROWS = _BUCKETS_THEMSELVES + CONFIGURATION_ROWS
OBJECT_ROWS = _OBJECTS_THEMSELVES + MULTIPART_ROWS
OPERATIONS = SERVICE_ROWS + BUCKET_ROWS + OBJECT_ROWS

# The first words of S3's header names, those of rows without a handler too: whatever begins so may mean something.
HEADER_KINDS = words("client confirm create fwd rename skip write") | {
    name.split("-")[2] for row in OPERATIONS for name in row.headers if name.startswith("x-amz-")
}
