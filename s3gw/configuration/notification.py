"""NotificationConfiguration (pure).

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
"""

from __future__ import annotations

import secrets
from typing import cast

from cyxcloud.objects.notification import MAX_RULES, Kind, NotificationConfig, Rule
from s3gw import xml
from s3gw.errors import Code, S3Error, not_implemented
from s3gw.xml_reader import TEXT, Many, Struct, Text, Value, items, malformed, read, text_of

MAX_BYTES = 1 << 20
_ROOT = "NotificationConfiguration"
_ELEMENTS = {f"{kind}Configuration": kind for kind in Kind}
_MAX_EVENTS = 64
_FILTER = Struct({"S3Key": Struct({"FilterRule": Many(Struct({"Name": TEXT, "Value": TEXT}), 16)})})


def _shape(kind: Kind) -> Many:
    return Many(Struct({"Id": TEXT, kind: TEXT, "Event": Many(TEXT, _MAX_EVENTS), "Filter": _FILTER}), MAX_RULES + 1)


_FIELDS: dict[str, Text | Struct | Many] = {element: _shape(kind) for element, kind in _ELEMENTS.items()}
_SHAPE = Struct(_FIELDS | {"EventBridgeConfiguration": Struct({})})


def parse(body: bytes) -> NotificationConfig:
    """Raises MalformedXML, InvalidArgument for a filter, NotImplemented for EventBridge."""
    document = read(body, _ROOT, _SHAPE, MAX_BYTES)
    if "EventBridgeConfiguration" in document:
        raise not_implemented("Amazon EventBridge is not implemented; send events to a webhook")
    rules = [_rule(kind, item) for element, kind in _ELEMENTS.items() for item in items(document, element)]
    return NotificationConfig(tuple(rules))


def _rule(kind: Kind, item: dict[str, Value]) -> Rule:
    arn, events = text_of(item, kind), cast("list[str]", item.get("Event", []))
    if arn is None or not events:
        raise malformed()
    filters = _filters(item)
    return Rule(
        text_of(item, "Id") or secrets.token_urlsafe(24),
        kind,
        arn,
        tuple(events),
        filters.get("prefix"),
        filters.get("suffix"),
    )


def _filters(item: dict[str, Value]) -> dict[str, str]:
    found: dict[str, str] = {}
    of_key = cast("dict[str, dict[str, Value]]", item.get("Filter", {})).get("S3Key", {})
    for rule in items(of_key, "FilterRule"):
        name, value = (text_of(rule, "Name") or "").lower(), text_of(rule, "Value")
        if value is None:
            raise malformed()
        if name not in ("prefix", "suffix"):
            raise S3Error(Code.INVALID_ARGUMENT, "filter rule name must be either prefix or suffix")
        if name in found:
            raise S3Error(Code.INVALID_ARGUMENT, f"Cannot specify more than one {name} rule in a filter.")
        found[name] = value
    return found


def render(config: NotificationConfig) -> bytes:
    return xml.document(_ROOT, "".join([_rendered(rule) for rule in config.rules]))


def _rendered(rule: Rule) -> str:
    events = "".join([f"<Event>{event}</Event>" for event in rule.events])
    element = f"{rule.kind}Configuration"
    return (
        f"<{element}><Id>{xml.escape(rule.id)}</Id>{_rendered_filter(rule)}"
        f"<{rule.kind}>{xml.escape(rule.arn)}</{rule.kind}>{events}</{element}>"
    )


def _rendered_filter(rule: Rule) -> str:
    named = (("prefix", rule.prefix), ("suffix", rule.suffix))
    rules = "".join(
        [
            f"<FilterRule><Name>{name}</Name><Value>{xml.escape(value)}</Value></FilterRule>"
            for name, value in named
            if value is not None
        ]
    )
    return f"<Filter><S3Key>{rules}</S3Key></Filter>" if rules else ""
