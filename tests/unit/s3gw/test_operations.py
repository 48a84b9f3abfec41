"""The table against botocore's model of S3, which knows every operation and what its requests look like."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import combinations
from typing import Any
from urllib.parse import urlencode

import botocore.serialize
import botocore.session
import pytest

from s3gw.errors import Code, S3Error
from s3gw.operations import BUCKET_ROWS, HEADER_KINDS, OBJECT_ROWS, OPERATIONS, SERVICE_ROWS, BodyKind, Operation, words
from s3gw.resolve import Resolved, Resolver, split_target

MODEL = botocore.session.get_session().get_service_model("s3")
SERIALIZER = botocore.serialize.create_serializer("rest-xml", include_validation=False)
ROW_OF = {name: row for row in OPERATIONS for name in (row.name, *row.aliases)}
RESOLVER = Resolver()

# Built at the end of this stage; everything else answers NotImplemented.
BUILT = words(
    """ListBuckets CreateBucket HeadBucket DeleteBucket GetBucketLocation PutObject GetObject HeadObject DeleteObject
    PostObject DeleteObjects CopyObject GetObjectAttributes ListObjects ListObjectsV2 CreateMultipartUpload UploadPart
    UploadPartCopy CompleteMultipartUpload AbortMultipartUpload ListParts ListMultipartUploads
    GetBucketCors PutBucketCors DeleteBucketCors GetBucketRequestPayment PutBucketRequestPayment
    GetBucketWebsite PutBucketWebsite DeleteBucketWebsite
    GetObjectTagging PutObjectTagging DeleteObjectTagging GetBucketTagging PutBucketTagging DeleteBucketTagging
    GetObjectLockConfiguration PutObjectLockConfiguration GetObjectRetention PutObjectRetention GetObjectLegalHold
    PutObjectLegalHold GetBucketNotificationConfiguration PutBucketNotificationConfiguration
    GetBucketInventoryConfiguration ListBucketInventoryConfigurations PutBucketInventoryConfiguration
    DeleteBucketInventoryConfiguration
    GetBucketVersioning PutBucketVersioning ListObjectVersions GetBucketAcl PutBucketAcl GetObjectAcl PutObjectAcl
    GetBucketEncryption PutBucketEncryption DeleteBucketEncryption
    GetBucketOwnershipControls PutBucketOwnershipControls DeleteBucketOwnershipControls
    GetBucketPolicy PutBucketPolicy DeleteBucketPolicy GetBucketPolicyStatus GetPublicAccessBlock PutPublicAccessBlock
    DeletePublicAccessBlock
    GetBucketLifecycleConfiguration PutBucketLifecycleConfiguration DeleteBucketLifecycle RestoreObject
    GetBucketLogging PutBucketLogging"""
)
# x-amz headers of built operations that change what a request means and that no handler obeys: refused by name.
REFUSED = {
    "AbortMultipartUpload": {"x-amz-if-match-initiated-time"},
    "PutObject": {"x-amz-write-offset-bytes"},
    "CopyObject": {"x-amz-object-annotation-directive"},
}
UNVERIFIABLE_CHECKSUMS = {f"x-amz-checksum-{name}" for name in ("sha512", "md5", "xxhash64", "xxhash3", "xxhash128")}
EVENT_HOLD = "x-amz-object-lock-event-hold"
# The model gives these nothing to be told apart by: they live at another endpoint of Amazon's.
SELECTING_MEMBERS = {"ListDirectoryBuckets": ("MaxDirectoryBuckets",)}


SAMPLES = {
    "integer": 7,
    "long": 7,
    "boolean": True,
    "timestamp": datetime(2026, 1, 2, tzinfo=UTC),
    "blob": b"body",
}


def sample(shape: Any) -> Any:
    match shape.type_name:
        case "structure":
            return {name: sample(shape.members[name]) for name in shape.required_members}
        case "list":
            return [sample(shape.member)]
        case "map":
            return {"name": sample(shape.value)}
        case "string":
            return shape.enum[0] if shape.enum else "value"
        case simple:
            return SAMPLES[simple]


def parameters(name: str, *members: str) -> dict[str, Any]:
    shape = MODEL.operation_model(name).input_shape
    if shape is None:
        return {}
    wanted = {*shape.required_members, *members, *SELECTING_MEMBERS.get(name, ())}
    given = {member: sample(shape.members[member]) for member in wanted}
    return given | ({"Bucket": "bucket"} if "Bucket" in given else {}) | ({"Key": "a/key"} if "Key" in given else {})


def resolve(name: str, given: dict[str, Any]) -> Resolved:
    request = SERIALIZER.serialize_to_request(given, MODEL.operation_model(name))
    path, query = split_target(request["url_path"])
    query = "&".join(filter(None, (query, urlencode(request["query_string"]))))
    headers = {header.lower() for header in request["headers"]}
    return RESOLVER.resolve(request["method"], path, query, "localhost:9000", headers)


def optional_members(name: str) -> Iterator[tuple[str, str]]:
    shape = MODEL.operation_model(name).input_shape
    for member, member_shape in shape.members.items() if shape is not None else ():
        if member_shape.serialization.get("location") in ("header", "headers", "querystring"):
            yield member, member_shape.serialization["name"].lower()


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_each_operation_of_the_model_resolves_to_its_own_row(name: str) -> None:
    assert resolve(name, parameters(name)).operation is ROW_OF[name]


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_optional_members_are_understood_or_refused_by_name(name: str) -> None:
    for member, wire_name in optional_members(name):
        row = ROW_OF[name]
        refused = wire_name in REFUSED.get(name, ()) or wire_name in UNVERIFIABLE_CHECKSUMS
        refused = row.handler is not None and (refused or wire_name.startswith(EVENT_HOLD))
        if refused:
            with pytest.raises(S3Error) as caught:
                resolve(name, parameters(name, member))
            assert caught.value.code is Code.NOT_IMPLEMENTED
            assert caught.value.fields == {"header": wire_name}
        elif wire_name in {selector.lower() for other in OPERATIONS for selector, _ in other.query[1:]}:
            # `id` and its like turn this request into the more specific operation that the model has for it.
            assert resolve(name, parameters(name, member)).operation.target is row.target
        else:
            assert resolve(name, parameters(name, member)).operation is row, member


def test_every_header_of_the_model_is_of_a_known_kind() -> None:
    """So that one which Amazon has and no row understands is refused, not taken for somebody's own."""
    names = {wire_name for name in MODEL.operation_names for _, wire_name in optional_members(name)}
    unknown = {name for name in names if name.startswith("x-amz-") and name.split("-")[2] not in HEADER_KINDS}
    assert unknown == {"x-amz-sdk-checksum-algorithm", "x-amz-meta-"}


def test_rows_are_those_of_the_model_and_post_object() -> None:
    assert set(ROW_OF) == {*MODEL.operation_names, "PostObject"}
    assert len(ROW_OF) == len(OPERATIONS) + sum(len(row.aliases) for row in OPERATIONS)


def test_handlers_are_those_of_the_built_operations() -> None:
    assert {row.name for row in OPERATIONS if row.handler is not None} == BUILT
    handlers = [row.handler for row in OPERATIONS if row.handler is not None]
    assert len(set(handlers)) == len(handlers)


def test_method_target_and_sub_resource_are_those_of_the_model() -> None:
    for name in MODEL.operation_names:
        http, row = MODEL.operation_model(name).http, ROW_OF[name]
        path, _, query = http["requestUri"].partition("?")
        assert row.method == http["method"], name
        if name != "WriteGetObjectResponse":
            rows = {"/": SERVICE_ROWS, "/{Bucket}": BUCKET_ROWS, "/{Bucket}/{Key+}": OBJECT_ROWS}[path]
            assert row in rows, name
        assert {item.partition("=")[0] for item in query.split("&") if item} <= {selector for selector, _ in row.query}


def test_streams_are_those_of_the_model() -> None:
    for name in MODEL.operation_names:
        streams = MODEL.operation_model(name).has_streaming_input
        assert (ROW_OF[name].body is BodyKind.STREAM) == streams, name


def same_place(first: Operation, second: Operation) -> bool:
    return (first.method, first.target) == (second.method, second.target)


def test_no_two_rows_make_the_same_demands() -> None:
    for first, second in combinations(OPERATIONS, 2):
        if same_place(first, second):
            demands = {(frozenset(row.query), frozenset(row.required_headers)) for row in (first, second)}
            assert len(demands) == 2, (first.name, second.name)


@pytest.mark.parametrize(
    ("path", "rows"), [("/", SERVICE_ROWS), ("/bucket", BUCKET_ROWS), ("/bucket/key", OBJECT_ROWS)]
)
def test_no_request_matches_two_rows_equally(path: str, rows: tuple[Operation, ...]) -> None:
    """A request that meets two rows' demands is another, more demanding row's, has no handler, or is refused."""
    for first, second in combinations(rows, 2):
        if not same_place(first, second):
            continue
        query = dict(first.query) | dict(second.query)
        headers = {*first.required_headers, *second.required_headers}
        found = operation_of(first.method, path, query, headers)
        if found is not None and found.handler is not None:
            met = {name for name, _ in found.query} | set(found.required_headers)
            assert met == {*query, *headers}, (first.name, second.name, found.name)


def operation_of(method: str, path: str, query: dict[str, str | None], headers: set[str]) -> Operation | None:
    raw = "&".join(f"{name}={value or ''}" for name, value in query.items())
    try:
        return RESOLVER.resolve(method, path, raw, "h", headers).operation
    except S3Error as refusal:
        if refusal.code is not Code.NOT_IMPLEMENTED:
            raise
        return None
