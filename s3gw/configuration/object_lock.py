"""Object lock of buckets and versions: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ObjectLockConfiguration.html"""

from __future__ import annotations

import re
from typing import cast

from cyxcloud.objects.attributes import Lock
from cyxcloud.objects.lock import (
    MAX_DEFAULT_DAYS,
    MAX_DEFAULT_YEARS,
    MODES,
    DefaultRetention,
    ObjectLock,
    Retention,
)
from s3gw import xml
from s3gw.errors import Code, S3Error
from s3gw.times import iso_time, parse_iso_time
from s3gw.xml_reader import TEXT, Struct, Value, malformed, read, text_of

MAX_BYTES = 16 << 10
_CONFIGURATION = Struct(
    {
        "ObjectLockEnabled": TEXT,
        "Rule": Struct({"DefaultRetention": Struct({"Mode": TEXT, "Days": TEXT, "Years": TEXT})}),
    }
)
_RETENTION = Struct({"Mode": TEXT, "RetainUntilDate": TEXT})
_LEGAL_HOLD = Struct({"Status": TEXT})
_INTEGER = re.compile(r"-?\d{1,9}", re.ASCII).fullmatch


def parse_configuration(document: bytes) -> ObjectLock:
    found = read(document, "ObjectLockConfiguration", _CONFIGURATION, MAX_BYTES)
    if text_of(found, "ObjectLockEnabled") != "Enabled":
        raise malformed()
    if "Rule" not in found:
        return ObjectLock()
    default = cast("dict[str, Value]", found["Rule"]).get("DefaultRetention")
    if default is None:
        raise malformed()
    return ObjectLock(_default_retention(cast("dict[str, Value]", default)))


def _default_retention(found: dict[str, Value]) -> DefaultRetention:
    mode, days, years = (text_of(found, name) for name in ("Mode", "Days", "Years"))
    if mode not in MODES or (days is None) == (years is None):
        raise malformed()
    assert mode is not None
    if days is not None:
        return DefaultRetention(mode, days=_period(days, MAX_DEFAULT_DAYS))
    return DefaultRetention(mode, years=_period(years or "", MAX_DEFAULT_YEARS))


def _period(text: str, most: int) -> int:
    if not _INTEGER(text.strip()):
        raise malformed()
    period = int(text)
    if period <= 0:
        raise S3Error(Code.INVALID_RETENTION_PERIOD)
    if period > most:
        raise S3Error(Code.INVALID_RETENTION_PERIOD, f"Default retention period cannot be greater than {most}")
    return period


def render_configuration(config: ObjectLock) -> bytes:
    default = config.default
    rule = ""
    if default is not None:
        period = f"<Days>{default.days}</Days>" if default.days else f"<Years>{default.years}</Years>"
        rule = f"<Rule><DefaultRetention><Mode>{default.mode}</Mode>{period}</DefaultRetention></Rule>"
    return xml.document("ObjectLockConfiguration", f"<ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}")


def parse_retention(document: bytes) -> Retention | None:
    """None asks for the retention to be lifted."""
    found = read(document, "Retention", _RETENTION, MAX_BYTES)
    mode, until = text_of(found, "Mode"), text_of(found, "RetainUntilDate")
    if not mode and not until:
        return None
    until_ms = parse_iso_time(until.strip()) if until else None
    if mode not in MODES or until_ms is None:
        raise malformed()
    return Retention(mode, until_ms)


def render_retention(lock: Lock) -> bytes:
    return xml.document(
        "Retention", f"<Mode>{lock.mode}</Mode><RetainUntilDate>{until_text(lock.until_ms)}</RetainUntilDate>"
    )


def until_text(until_ms: int) -> str:
    """To the millisecond: what a client reads and sends back must not shorten the retention."""
    return f"{iso_time(until_ms)[:-4]}{until_ms % 1000:03}Z"


def parse_legal_hold(document: bytes) -> bool:
    return legal_hold_of(text_of(read(document, "LegalHold", _LEGAL_HOLD, MAX_BYTES), "Status"))


def legal_hold_of(status: str | None) -> bool:
    if status not in ("ON", "OFF"):
        raise malformed()
    return status == "ON"


def render_legal_hold(*, on: bool) -> bytes:
    return xml.document("LegalHold", f"<Status>{'ON' if on else 'OFF'}</Status>")
