"""Access logs: where a bucket's go, one line for a request, and the keys under which lines are put together (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html. An operation is REST.METHOD.RESOURCE throughout;
Amazon has names of its own for copies and for each key of a DeleteObjects, which ceph's suite does not know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from cyxcloud.objects import acl
from cyxcloud.objects.acl import Grant
from cyxcloud.objects.bucket_config import ConfigKey
from cyxcloud.objects.delivery_rights import Source

SERVICE = acl.LOG_DELIVERY_SERVICE
SIMPLE, BY_EVENT, BY_DELIVERY = "", "EventTime", "DeliveryTime"


@dataclass(frozen=True, slots=True)
class Logging:
    """`date_source` is SIMPLE, or which time a partitioned key has its date from. `grants` are given on each log."""

    target: str
    prefix: str
    date_source: str = SIMPLE
    grants: tuple[Grant, ...] = ()


# Work noted of a bucket whose last lines the target did not take.
UNDELIVERABLE = "access-log-undeliverable"
LOGGING = ConfigKey("logging", Logging)


class Line(NamedTuple):
    """One request. Text is as it came off the wire; "" and None are what is not known or does not apply."""

    owner: str
    bucket: str
    at_ms: int
    address: str
    requester: str
    request_id: str
    operation: str
    key: bytes | None
    request: str
    status: int
    error: str = ""
    bytes_sent: int | None = None
    object_size: int | None = None
    total_ms: int = 0
    turnaround_ms: int = 0
    referrer: str = ""
    user_agent: str = ""
    version: str = ""
    signature: str = ""
    cipher: str = ""
    authentication: str = ""
    host: str = ""
    tls: str = ""
    acl_required: bool = False

    def text(self) -> bytes:
        moment = datetime.fromtimestamp(self.at_ms / 1000, UTC)
        fields = (
            self.owner or "-",
            self.bucket,
            f"[{moment:%d}/{_MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S} +0000]",
            self.address or "-",
            _word(self.requester),
            self.request_id,
            self.operation,
            quote_from_bytes(self.key) if self.key else "-",
            f'"{_quoted(self.request)}"',
            str(self.status),
            self.error or "-",
            str(self.bytes_sent or "-"),
            "-" if self.object_size is None else str(self.object_size),
            str(self.total_ms),
            str(self.turnaround_ms),
            f'"{_quoted(self.referrer)}"',
            f'"{_quoted(self.user_agent)}"',
            self.version or "-",
            "-",  # the host's id, which this store does not give out
            self.signature or "-",
            _word(self.cipher),
            self.authentication or "-",
            _word(self.host),
            self.tls or "-",
            "-",  # access points
            "Yes" if self.acl_required else "-",
        )
        return " ".join(fields).encode(errors="backslashreplace")


# strftime would write the names of the process's locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNSAFE = re.compile(r'["\\\x00-\x1f\x7f]')
_SPACE = re.compile(r"[\s\"\\\x00-\x1f\x7f]")


def _quoted(text: str) -> str:
    """What a client sent must not end the field, or the line."""
    return _UNSAFE.sub(_escaped, text) or "-"


def _word(text: str) -> str:
    return _SPACE.sub(_escaped, text) or "-"


def _escaped(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def operation_of(method: str, name: str, *, is_page: bool = False) -> str:
    """REST.PUT.OBJECT and its like, by the operation's name; `is_page`: of a website."""
    return f"{'WEBSITE' if is_page else 'REST'}.{method}.{_RESOURCES.get(name) or _resource(name)}"


_RESOURCES = {
    "ListBuckets": "SERVICE",
    "CreateBucket": "BUCKET",
    "HeadBucket": "BUCKET",
    "DeleteBucket": "BUCKET",
    "ListObjects": "BUCKET",
    "ListObjectsV2": "BUCKET",
    "ListObjectVersions": "BUCKETVERSIONS",
    "GetBucketLocation": "LOCATION",
    "PutObject": "OBJECT",
    "PostObject": "OBJECT",
    "CopyObject": "OBJECT",
    "GetObject": "OBJECT",
    "HeadObject": "OBJECT",
    "DeleteObject": "OBJECT",
    "RestoreObject": "OBJECT_RESTORE",
    "DeleteObjects": "DELETE_MULTI_OBJECT",
    "CreateMultipartUpload": "UPLOADS",
    "ListMultipartUploads": "UPLOADS",
    "CompleteMultipartUpload": "UPLOAD",
    "AbortMultipartUpload": "UPLOAD",
    "ListParts": "UPLOAD",
    "UploadPart": "PART",
    "UploadPartCopy": "PART",
    "GetBucketLogging": "LOGGING_STATUS",
    "PutBucketLogging": "LOGGING_STATUS",
}
_VERB = re.compile(r"(Get|Put|Delete|List|Head|Post|Create|Update)(Bucket|Object)?(.*?)(Configurations?)?").fullmatch
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _resource(name: str) -> str:
    """`GetBucketPolicy` is of a BUCKETPOLICY, `PutObjectLegalHold` of a LEGAL_HOLD."""
    match = _VERB(name)
    if match is None:
        return name.upper()
    kind, what = match[2] or "", match[3]
    if kind == "Bucket" and what in ("Policy", "Notification"):
        return f"{kind}{what}".upper()
    return _WORDS.sub("_", what or kind).upper()


def object_key(logging: Logging, source: Source, at_ms: int, unique: str) -> str:
    """`at_ms`: of the delivery, or, where keys are dated by the events, of any of them."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    if logging.date_source == SIMPLE:
        return f"{logging.prefix}{moment:%Y-%m-%d-%H-%M-%S}-{unique}"
    if logging.date_source == BY_EVENT:
        moment = moment.replace(hour=0, minute=0, second=0)
    return (
        f"{logging.prefix}{source.account}/{source.region}/{source.bucket}/{moment:%Y/%m/%d}/"
        f"{moment:%Y-%m-%d-%H-%M-%S}-{unique}"
    )
