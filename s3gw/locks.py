"""Object lock in headers: what a new object brings, what a read tells of it, who goes past a governance retention."""

from __future__ import annotations

from collections.abc import Mapping

from cyxcloud.meta.rows import BucketFlags, BucketRow, VersionRow
from cyxcloud.objects.attributes import Lock
from cyxcloud.objects.get import ObjectView
from cyxcloud.objects.lock import MODES, OBJECT_LOCK, Retention
from cyxcloud.objects.rights import Permission
from s3gw.authority import demand, is_allowed
from s3gw.configuration.object_lock import until_text
from s3gw.context import RequestContext
from s3gw.errors import Code, S3Error
from s3gw.times import parse_iso_time

MODE = "x-amz-object-lock-mode"
UNTIL = "x-amz-object-lock-retain-until-date"
LEGAL_HOLD = "x-amz-object-lock-legal-hold"
BYPASS = "x-amz-bypass-governance-retention"
BUCKET_ENABLED = "x-amz-bucket-object-lock-enabled"
_DAY_MS = 86_400_000


def locks(bucket: BucketRow) -> bool:
    return BucketFlags.OBJECT_LOCK in bucket.flags


def wants_locking(ctx: RequestContext) -> bool:
    """Of CreateBucket."""
    return ctx.headers.get(BUCKET_ENABLED, "").lower() == "true"


def bypasses(ctx: RequestContext, *, key: bytes | None = None, version: VersionRow | None = None) -> bool:
    """Whether the request asks to go past governance retentions and may."""
    if ctx.headers.get(BYPASS, "").lower() != "true":
        return False
    return is_allowed(ctx, Permission.BYPASS_GOVERNANCE_RETENTION, key=key, version=version)


def requested(ctx: RequestContext) -> Lock | None:
    """The lock that a new object brings; each half of it is a right of its own."""
    headers = ctx.headers
    if MODE not in headers and UNTIL not in headers and LEGAL_HOLD not in headers:
        return None
    retention, hold = _retention(headers, ctx.store.clock.now_ms()), _legal_hold(headers)
    if not locks(ctx.bucket):
        raise S3Error(Code.INVALID_REQUEST, "Bucket is missing ObjectLockConfiguration")
    if retention is not None:
        demand(ctx, Permission.PUT_OBJECT_RETENTION, extra=conditions(retention, ctx.store.clock.now_ms()))
    if hold is not None:
        extra = {"s3:object-lock-legal-hold": headers[LEGAL_HOLD]}
        demand(ctx, Permission.PUT_OBJECT_LEGAL_HOLD, extra=extra)
    if retention is None:
        return Lock(legal_hold=hold)
    return Lock(retention.mode, retention.until_ms, hold)


def conditions(retention: Retention, now_ms: int) -> dict[str, str]:
    """The condition keys that a policy sees of a retention that is asked for."""
    return {
        "s3:object-lock-mode": retention.mode,
        "s3:object-lock-retain-until-date": until_text(retention.until_ms),
        "s3:object-lock-remaining-retention-days": str(max(0, retention.until_ms - now_ms) // _DAY_MS),
    }


def demand_digest(ctx: RequestContext, lock: Lock | None, what: str) -> None:
    """What will be locked must be what was sent: S3 takes no such body without a digest."""
    if ctx.body.checked or not (lock is not None or _has_default(ctx)):
        return
    raise S3Error(
        Code.INVALID_REQUEST,
        f"Content-MD5 OR x-amz-checksum- HTTP header is required for {what} requests with Object Lock parameters",
    )


def shown(ctx: RequestContext, view: ObjectView, lock: Lock) -> Mapping[str, str]:
    """What a read tells of the lock to those who may know it."""
    told: dict[str, str] = {}
    if lock.mode and is_allowed(ctx, Permission.GET_OBJECT_RETENTION, version=view.version):
        told |= {MODE: lock.mode, UNTIL: until_text(lock.until_ms)}
    if lock.legal_hold is not None and is_allowed(ctx, Permission.GET_OBJECT_LEGAL_HOLD, version=view.version):
        told[LEGAL_HOLD] = "ON" if lock.legal_hold else "OFF"
    return told


def _has_default(ctx: RequestContext) -> bool:
    if not ctx.bucket.flags or not locks(ctx.bucket):
        return False
    config = ctx.config.get(OBJECT_LOCK)
    return config is not None and config.default is not None


def _retention(headers: Mapping[str, str], now_ms: int) -> Retention | None:
    mode, until = headers.get(MODE), headers.get(UNTIL)
    if mode is None and until is None:
        return None
    if mode is None or until is None:
        missing = MODE if mode is None else UNTIL
        message = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
        raise S3Error(Code.INVALID_ARGUMENT, message, argument_name=missing)
    if mode not in MODES:
        raise _illegal("Unknown wormMode directive.", MODE, mode)
    until_ms = parse_iso_time(until.strip())
    if until_ms is None:
        raise _illegal("The retain until date must be provided in ISO 8601 format", UNTIL, until)
    if until_ms <= now_ms:
        raise _illegal("The retain until date must be in the future!", UNTIL, until)
    return Retention(mode, until_ms)


def _legal_hold(headers: Mapping[str, str]) -> bool | None:
    status = headers.get(LEGAL_HOLD)
    if status is None:
        return None
    if status not in ("ON", "OFF"):
        raise _illegal("Legal Hold must be either of 'ON' or 'OFF'", LEGAL_HOLD, status)
    return status == "ON"


def _illegal(message: str, name: str, value: str) -> S3Error:
    return S3Error(Code.INVALID_ARGUMENT, message, argument_name=name, argument_value=value)
