"""BucketLoggingStatus: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLogging.html (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast

from cyxcloud.objects import acl
from cyxcloud.objects.access_log import BY_DELIVERY, BY_EVENT, SIMPLE, Logging
from cyxcloud.objects.acl import Grant
from s3gw.configuration.acl import GrantLine, grantee
from s3gw.documents import Owner
from s3gw.xml import document, escape
from s3gw.xml_reader import TEXT, Many, Struct, Value, items, malformed, read, text_of

MAX_BYTES = 128 << 10
_GRANTEE = Struct({"ID": TEXT, "DisplayName": TEXT, "URI": TEXT, "EmailAddress": TEXT})
_GRANT = Struct({"Grantee": _GRANTEE, "Permission": TEXT})
_FORMAT = Struct({"SimplePrefix": Struct({}), "PartitionedPrefix": Struct({"PartitionDateSource": TEXT})})
_DOCUMENT = Struct(
    {
        "LoggingEnabled": Struct(
            {
                "TargetBucket": TEXT,
                "TargetPrefix": TEXT,
                "TargetGrants": Struct({"Grant": Many(_GRANT, acl.MAX_GRANTS)}),
                "TargetObjectKeyFormat": _FORMAT,
            }
        )
    }
)
_KINDS = {"ID": "id", "URI": "uri", "EmailAddress": "emailaddress"}
_PERMISSIONS = frozenset({acl.READ, acl.WRITE, acl.FULL_CONTROL})

Element = dict[str, Value]


@dataclass(frozen=True, slots=True)
class LoggingDocument:
    target: str
    prefix: str
    date_source: str = SIMPLE
    grants: tuple[GrantLine, ...] = ()


def parse(body: bytes) -> LoggingDocument | None:
    """None switches logging off. Raises MalformedXML."""
    found = _element(read(body, "BucketLoggingStatus", _DOCUMENT, MAX_BYTES), "LoggingEnabled")
    if found is None:
        return None
    target, prefix = text_of(found, "TargetBucket"), text_of(found, "TargetPrefix")
    if not target or prefix is None:
        raise malformed()
    listed = _element(found, "TargetGrants") or {}
    return LoggingDocument(target, prefix, _date_source(found), tuple(_grant(each) for each in items(listed, "Grant")))


def _element(parent: Element, name: str) -> Element | None:
    return cast("Element | None", parent.get(name))


def _date_source(found: Element) -> str:
    form = _element(found, "TargetObjectKeyFormat")
    if form is None:
        return SIMPLE
    if len(form) != 1:
        raise malformed()
    partitioned = _element(form, "PartitionedPrefix")
    if partitioned is None:
        return SIMPLE
    source = text_of(partitioned, "PartitionDateSource") or BY_DELIVERY
    if source not in (BY_DELIVERY, BY_EVENT):
        raise malformed()
    return source


def _grant(item: Element) -> GrantLine:
    who, permission = _element(item, "Grantee"), text_of(item, "Permission")
    named = [name for name in _KINDS if who is not None and name in who]
    if who is None or len(named) != 1 or permission not in _PERMISSIONS:
        raise malformed()
    return GrantLine(_KINDS[named[0]], (text_of(who, named[0]) or "").strip(), permission)


def render(logging: Logging | None, person_of: Callable[[Grant], Owner]) -> bytes:
    return document("BucketLoggingStatus", "" if logging is None else _enabled(logging, person_of))


def _enabled(logging: Logging, person_of: Callable[[Grant], Owner]) -> str:
    return (
        f"<LoggingEnabled><TargetBucket>{escape(logging.target)}</TargetBucket>"
        f"<TargetPrefix>{escape(logging.prefix)}</TargetPrefix>{_grants(logging.grants, person_of)}"
        f"<TargetObjectKeyFormat>{_format(logging.date_source)}</TargetObjectKeyFormat></LoggingEnabled>"
    )


def _format(date_source: str) -> str:
    if date_source == SIMPLE:
        return "<SimplePrefix/>"
    return f"<PartitionedPrefix><PartitionDateSource>{date_source}</PartitionDateSource></PartitionedPrefix>"


def _grants(grants: Iterable[Grant], person_of: Callable[[Grant], Owner]) -> str:
    lines = "".join(
        [f"<Grant>{grantee(person_of(each))}<Permission>{each.permission}</Permission></Grant>" for each in grants]
    )
    return f"<TargetGrants>{lines}</TargetGrants>" if lines else ""
