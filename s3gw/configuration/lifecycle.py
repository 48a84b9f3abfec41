"""LifecycleConfiguration: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html

A filter is given back as it was sent. S3 wants a single element in it, or an And; several beside each other, which
other stores take, mean the same as an And.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import cast

from cyxcloud.objects.lifecycle import (
    Criteria,
    Expiration,
    Noncurrent,
    Rule,
    Rules,
    Tag,
    Transition,
)
from s3gw.configuration.lifecycle_check import MAX_RULES, check
from s3gw.times import iso_time, parse_iso_time
from s3gw.xml import document, escape
from s3gw.xml_reader import TEXT, Many, Struct, Value, boolean, items, malformed, number_of, read, text_of

# A thousand rules with ten tags of 128 and 256 characters each; such documents are rare, a bound is all that it is.
MAX_BYTES = 6 << 20
MAX_TAGS = 10
MAX_MOVES = 10

_TAG = Struct({"Key": TEXT, "Value": TEXT})
_SIZES = {"ObjectSizeGreaterThan": TEXT, "ObjectSizeLessThan": TEXT}
_AND = Struct({"Prefix": TEXT, "Tag": Many(_TAG, MAX_TAGS), **_SIZES})
_RULE = Struct(
    {
        "ID": TEXT,
        "Status": TEXT,
        "Prefix": TEXT,
        "Filter": Struct({"Prefix": TEXT, "Tag": _TAG, "And": _AND, **_SIZES}),
        "Expiration": Struct({"Days": TEXT, "Date": TEXT, "ExpiredObjectDeleteMarker": TEXT}),
        "Transition": Many(Struct({"Days": TEXT, "Date": TEXT, "StorageClass": TEXT}), MAX_MOVES),
        "NoncurrentVersionExpiration": Struct({"NoncurrentDays": TEXT, "NewerNoncurrentVersions": TEXT}),
        "NoncurrentVersionTransition": Many(
            Struct({"NoncurrentDays": TEXT, "NewerNoncurrentVersions": TEXT, "StorageClass": TEXT}), MAX_MOVES
        ),
        "AbortIncompleteMultipartUpload": Struct({"DaysAfterInitiation": TEXT}),
    }
)
_DOCUMENT = Struct({"Rule": Many(_RULE, MAX_RULES)})
_DATE = re.compile(r"\s*(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(?:\.\d{1,9})?(?:Z|\+00:00)?)?\s*", re.ASCII).fullmatch

Element = dict[str, Value]


def parse(body: bytes, new_id: Callable[[], str], least_moved: str, *, economical: bool) -> Rules:
    """`economical` applies S3's least days of transitions, which a shortened day could never keep."""
    found = read(body, "LifecycleConfiguration", _DOCUMENT, MAX_BYTES)
    rules = Rules(tuple(_rule(item, new_id) for item in items(found, "Rule")), least_moved)
    check(rules, economical=economical)
    return rules


def _rule(item: Element, new_id: Callable[[], str]) -> Rule:
    status = text_of(item, "Status")
    if status not in ("Enabled", "Disabled"):
        raise malformed()
    selected = _element(item, "Filter")
    both = None if selected is None else _element(selected, "And")
    abort = _element(item, "AbortIncompleteMultipartUpload")
    expiration, noncurrent = _element(item, "Expiration"), _element(item, "NoncurrentVersionExpiration")
    return Rule(
        id=text_of(item, "ID") or new_id(),
        enabled=status == "Enabled",
        prefix=text_of(item, "Prefix"),
        filter=None if selected is None else _criteria(selected, [_element(selected, "Tag")]),
        both=None if both is None else _criteria(both, items(both, "Tag")),
        expiration=None if expiration is None else _expiration(expiration),
        transitions=tuple(_transition(each) for each in items(item, "Transition")),
        noncurrent_expiration=None if noncurrent is None else _noncurrent(noncurrent),
        noncurrent_transitions=tuple(
            _noncurrent(each, _required(each, "StorageClass")) for each in items(item, "NoncurrentVersionTransition")
        ),
        abort_days=None if abort is None else number_of(_required(abort, "DaysAfterInitiation")),
    )


def _element(parent: Element, name: str) -> Element | None:
    return cast("Element | None", parent.get(name))


def _required(parent: Element, name: str) -> str:
    text = text_of(parent, name)
    if text is None:
        raise malformed()
    return text


def _number(parent: Element, name: str) -> int | None:
    text = text_of(parent, name)
    return None if text is None else number_of(text)


def _criteria(found: Element, tags: Iterable[Element | None]) -> Criteria:
    return Criteria(
        text_of(found, "Prefix"),
        tuple(Tag(_required(tag, "Key"), _required(tag, "Value")) for tag in tags if tag is not None),
        _number(found, "ObjectSizeGreaterThan"),
        _number(found, "ObjectSizeLessThan"),
    )


def _expiration(found: Element) -> Expiration:
    marker = text_of(found, "ExpiredObjectDeleteMarker")
    if len(found) != 1:
        raise malformed()
    return Expiration(_number(found, "Days"), _moment(found), None if marker is None else boolean(marker))


def _transition(found: Element) -> Transition:
    if ("Days" in found) == ("Date" in found):
        raise malformed()
    return Transition(_required(found, "StorageClass"), _number(found, "Days"), _moment(found))


def _noncurrent(found: Element, storage_class: str = "") -> Noncurrent:
    days = number_of(_required(found, "NoncurrentDays"))
    return Noncurrent(days, _number(found, "NewerNoncurrentVersions"), storage_class)


def _moment(found: Element) -> int | None:
    text = text_of(found, "Date")
    if text is None:
        return None
    match = _DATE(text)
    moment = None if match is None else parse_iso_time(f"{match[1]}T{match[2] or '00:00:00'}Z")
    if moment is None:
        raise malformed()
    return moment


def render(rules: Rules) -> bytes:
    return document("LifecycleConfiguration", "".join([_rendered(rule) for rule in rules.rules]))


def _rendered(rule: Rule) -> str:
    moves = [_when("Transition", each.days, each.at_ms, each.storage_class) for each in rule.transitions]
    noncurrent = [_noncurrent_action("NoncurrentVersionTransition", each) for each in rule.noncurrent_transitions]
    expires = rule.noncurrent_expiration
    return "".join(
        [
            f"<Rule><ID>{escape(rule.id)}</ID>",
            _selection(rule),
            f"<Status>{'Enabled' if rule.enabled else 'Disabled'}</Status>",
            "" if rule.expiration is None else _expires(rule.expiration),
            *moves,
            "" if expires is None else _noncurrent_action("NoncurrentVersionExpiration", expires),
            *noncurrent,
            _abort(rule.abort_days),
            "</Rule>",
        ]
    )


def _selection(rule: Rule) -> str:
    if rule.filter is None:
        return _text("Prefix", rule.prefix)
    both = "" if rule.both is None else f"<And>{_criteria_text(rule.both)}</And>"
    return f"<Filter>{_criteria_text(rule.filter)}{both}</Filter>"


def _criteria_text(criteria: Criteria) -> str:
    tags = [f"<Tag><Key>{escape(tag.key)}</Key><Value>{escape(tag.value)}</Value></Tag>" for tag in criteria.tags]
    larger, smaller = criteria.larger_than, criteria.smaller_than
    return (
        f"{_text('Prefix', criteria.prefix)}{''.join(tags)}"
        f"{_text('ObjectSizeGreaterThan', larger)}{_text('ObjectSizeLessThan', smaller)}"
    )


def _text(name: str, value: str | int | None) -> str:
    return "" if value is None else f"<{name}>{escape(str(value))}</{name}>"


def _expires(expiration: Expiration) -> str:
    if expiration.expired_marker is not None:
        marker = str(expiration.expired_marker).lower()
        return f"<Expiration><ExpiredObjectDeleteMarker>{marker}</ExpiredObjectDeleteMarker></Expiration>"
    return _when("Expiration", expiration.days, expiration.at_ms)


def _when(element: str, days: int | None, at_ms: int | None, storage_class: str = "") -> str:
    when = _text("Days", days) if at_ms is None else f"<Date>{iso_time(at_ms)}</Date>"
    return f"<{element}>{when}{_text('StorageClass', storage_class or None)}</{element}>"


def _noncurrent_action(element: str, action: Noncurrent) -> str:
    return (
        f"<{element}>{_text('NoncurrentDays', action.days)}{_text('NewerNoncurrentVersions', action.newer)}"
        f"{_text('StorageClass', action.storage_class or None)}</{element}>"
    )


def _abort(days: int | None) -> str:
    element = "AbortIncompleteMultipartUpload"
    return "" if days is None else f"<{element}><DaysAfterInitiation>{days}</DaysAfterInitiation></{element}>"
