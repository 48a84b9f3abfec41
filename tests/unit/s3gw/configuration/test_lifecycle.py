"""The document of lifecycle rules: what is read, what is refused and with which code, what is written."""

from __future__ import annotations

import pytest

from cyxcloud.objects.lifecycle import ALL_CLASSES, DAY_MS, Criteria, Rules, Tag
from s3gw.configuration import lifecycle
from s3gw.errors import Code, S3Error

NS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
EXPIRES = "<Expiration><Days>3</Days></Expiration>"
ON = "<Status>Enabled</Status>"


def document(*rules: str) -> bytes:
    return f"<LifecycleConfiguration {NS}>{''.join(f'<Rule>{each}</Rule>' for each in rules)}</LifecycleConfiguration>".encode()


def parse(*rules: str, economical: bool = True) -> Rules:
    return lifecycle.parse(document(*rules), lambda: "made", ALL_CLASSES, economical=economical)


FULL = (
    "<ID>one</ID><Filter><And><Prefix>a/&amp;</Prefix><Tag><Key>k</Key><Value>v</Value></Tag>"
    "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>50</ObjectSizeLessThan></And></Filter>"
    "<Status>Enabled</Status><Expiration><Days>400</Days></Expiration>"
    "<Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>"
    "<Transition><Days>90</Days><StorageClass>GLACIER</StorageClass></Transition>"
    "<NoncurrentVersionExpiration><NoncurrentDays>60</NoncurrentDays>"
    "<NewerNoncurrentVersions>5</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
    "<NoncurrentVersionTransition><NoncurrentDays>30</NoncurrentDays>"
    "<StorageClass>ONEZONE_IA</StorageClass></NoncurrentVersionTransition>"
)
OLD = (
    "<ID>two</ID><Prefix></Prefix><Status>Disabled</Status>"
    "<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>"
    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
)
MARKER = (
    "<ID>three</ID><Filter></Filter><Status>Enabled</Status>"
    "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
)
TAGGED = (
    "<ID>four</ID><Filter><Prefix>p</Prefix><Tag><Key>k</Key><Value></Value></Tag></Filter><Status>Enabled</Status>"
    "<Expiration><Days>1</Days></Expiration>"
)


@pytest.mark.parametrize("rule", [FULL, OLD, MARKER, TAGGED])
def test_rule_is_given_back_as_it_was_sent(rule: str) -> None:
    written = lifecycle.render(parse(rule))
    assert f"<Rule>{rule}</Rule>".encode() in written
    assert lifecycle.parse(written, lambda: "", ALL_CLASSES, economical=True) == parse(rule)


def test_parts_of_a_filter_are_read() -> None:
    found = parse(FULL).rules[0]
    assert found.criteria == (Criteria(), Criteria("a/&", (Tag("k", "v"),), 5, 50))
    assert parse(OLD).rules[0].criteria == (Criteria(""),)
    assert parse(TAGGED).rules[0].filter == Criteria("p", (Tag("k", ""),))


def test_rule_without_an_id_is_given_one() -> None:
    assert parse(f"<Prefix/>{ON}{EXPIRES}").rules[0].id == "made"


def test_date_may_come_without_a_time() -> None:
    found = parse(f"<Prefix/>{ON}<Expiration><Date>1970-01-03</Date></Expiration>").rules[0]
    assert found.expiration is not None
    assert found.expiration.at_ms == 2 * DAY_MS


def moved(days: int, storage_class: str) -> str:
    return f"<Transition><Days>{days}</Days><StorageClass>{storage_class}</StorageClass></Transition>"


def filtered(inside: str, action: str = EXPIRES) -> str:
    return f"<Filter>{inside}</Filter>{ON}{action}"


TAG = "<Tag><Key>k</Key><Value>v</Value></Tag>"
SIZED = "<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>"
ABORTS = (
    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>{}</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
)
OLDER = "<NoncurrentVersionExpiration><NoncurrentDays>{}</NoncurrentDays>{}</NoncurrentVersionExpiration>"
NEWER = "<NewerNoncurrentVersions>{}</NewerNoncurrentVersions>"
MARKERS = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([], Code.MALFORMED_XML),
        ([f"<Prefix/>{EXPIRES}"], Code.MALFORMED_XML),
        ([f"<Prefix/><Status>enabled</Status>{EXPIRES}"], Code.MALFORMED_XML),
        ([f"{ON}{EXPIRES}"], Code.MALFORMED_XML),
        ([f"<Prefix/><Filter/>{ON}{EXPIRES}"], Code.MALFORMED_XML),
        ([f"<Prefix/>{ON}"], Code.INVALID_REQUEST),
        ([f"<ID>{'a' * 256}</ID><Prefix/>{ON}{EXPIRES}"], Code.INVALID_ARGUMENT),
        ([f"<ID>a</ID><Prefix/>{ON}{EXPIRES}"] * 2, Code.INVALID_ARGUMENT),
        ([f"<Prefix/>{ON}<Expiration/>"], Code.MALFORMED_XML),
        ([f"<Prefix/>{ON}<Expiration><Days>0</Days></Expiration>"], Code.INVALID_ARGUMENT),
        ([f"<Prefix/>{ON}<Expiration><Days>-1</Days></Expiration>"], Code.MALFORMED_XML),
        ([f"<Prefix/>{ON}<Expiration><Date>20200101</Date></Expiration>"], Code.MALFORMED_XML),
        ([f"<Prefix/>{ON}<Expiration><Date>2020-01-01T08:00:00Z</Date></Expiration>"], Code.INVALID_ARGUMENT),
        (
            [f"<Prefix/>{ON}<Expiration><Days>1</Days><Date>2020-01-01T00:00:00Z</Date></Expiration>"],
            Code.MALFORMED_XML,
        ),
        ([filtered(f"<And>{TAG}</And>")], Code.MALFORMED_XML),
        ([filtered(f"<And><Prefix>a</Prefix>{TAG}{TAG}</And>")], Code.INVALID_REQUEST),
        ([filtered("<ObjectSizeLessThan>0</ObjectSizeLessThan>")], Code.INVALID_ARGUMENT),
        ([filtered(f"<And>{SIZED}<ObjectSizeLessThan>5</ObjectSizeLessThan></And>")], Code.INVALID_REQUEST),
        ([filtered(TAG, MARKERS)], Code.INVALID_REQUEST),
        ([filtered(SIZED, MARKERS)], Code.INVALID_REQUEST),
        ([filtered(TAG, ABORTS.format(1))], Code.INVALID_REQUEST),
        ([filtered(SIZED, ABORTS.format(1))], Code.INVALID_REQUEST),
        ([filtered("", ABORTS.format(0))], Code.INVALID_ARGUMENT),
        ([filtered("", OLDER.format(0, ""))], Code.INVALID_ARGUMENT),
        ([filtered("", OLDER.format(1, NEWER.format(0)))], Code.INVALID_ARGUMENT),
        ([filtered("", OLDER.format(1, NEWER.format(101)))], Code.INVALID_ARGUMENT),
        ([filtered("", "<NoncurrentVersionExpiration/>")], Code.MALFORMED_XML),
        ([filtered("", moved(90, "STANDARD"))], Code.MALFORMED_XML),
        ([filtered("", moved(90, "LUKEWARM"))], Code.MALFORMED_XML),
        ([filtered("", "<Transition><StorageClass>GLACIER</StorageClass></Transition>")], Code.MALFORMED_XML),
        ([filtered("", moved(29, "STANDARD_IA"))], Code.INVALID_ARGUMENT),
        ([filtered("", moved(30, "STANDARD_IA") + moved(60, "STANDARD_IA"))], Code.INVALID_REQUEST),
        ([filtered("", moved(90, "STANDARD_IA") + moved(60, "GLACIER"))], Code.INVALID_ARGUMENT),
        ([filtered("", moved(60, "STANDARD_IA") + moved(60, "GLACIER"))], Code.INVALID_ARGUMENT),
        ([filtered("", moved(3, "GLACIER") + EXPIRES)], Code.INVALID_ARGUMENT),
        (
            [
                filtered(
                    "",
                    "<Transition><Date>2030-01-01T00:00:00Z</Date><StorageClass>GLACIER</StorageClass></Transition>"
                    + EXPIRES,
                )
            ],
            Code.INVALID_REQUEST,
        ),
        ([f"<ID>{number}</ID><Prefix/>{ON}{EXPIRES}" for number in range(1001)], Code.MALFORMED_XML),
        ([f"<Prefix/>{ON}{EXPIRES}<Unknown/>"], Code.MALFORMED_XML),
    ],
)
def test_rules_that_s3_refuses(rules: list[str], code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        parse(*rules)
    assert caught.value.code is code


def test_least_days_do_not_hold_of_a_shortened_day() -> None:
    assert parse(filtered("", moved(1, "STANDARD_IA")), economical=False).rules[0].transitions[0].days == 1
