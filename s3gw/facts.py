"""What a request says of the condition keys of policies; each is looked up only when a policy asks for it.

A key that does not belong to the request is absent, never empty: a condition on it fails, as it should. What belongs to
the write of a copy (its headers) says nothing of the read of its source.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote

from cyxcloud.meta.rows import BucketRow, VersionRow
from cyxcloud.objects import attributes as attributes_codec
from cyxcloud.objects import bucket_config, tags
from cyxcloud.objects.errors import ObjectsError
from cyxcloud.objects.policy_conditions import address_of
from cyxcloud.objects.policy_keys import BUCKET_TAG, EXISTING_TAG, REQUEST_TAG, REQUEST_TAG_KEYS
from cyxcloud.objects.policy_patterns import key_name
from cyxcloud.objects.tags import BUCKET_TAGS
from s3gw.context import RequestContext
from s3gw.times import iso_time, parse_iso_time

_DAY_MS = 24 * 3600 * 1000
_NO_TAGS: Mapping[str, str] = {}


@dataclass(frozen=True)
class RequestFacts:
    """Of one question of one request. `is_request` is False for a bucket that the request only reads from;
    `existing` finds the version that is acted on."""

    ctx: RequestContext
    bucket: BucketRow
    existing: Callable[[], VersionRow | None]
    extra: Mapping[str, str] | None = None
    is_request: bool = True
    _given: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        given = {key_name(name): value for name, value in (self.extra or {}).items()}
        object.__setattr__(self, "_given", given)

    def __call__(self, key: str) -> tuple[str, ...] | None:
        if key == REQUEST_TAG_KEYS:
            return tuple(self._request_tags) or None
        value = self._given.get(key)
        if value is None:
            value = self._value(key)
        return None if value is None else (value,)

    def _value(self, key: str) -> str | None:
        known = _OF_EVERY_REQUEST.get(key)
        if known is not None:
            return known(self.ctx)
        if "/" in key:
            return self._tag(key)
        if key in ("aws:resourceaccount", "s3:resourceaccount"):
            owner = self.ctx.store.accounts.find(self.bucket.account)
            return None if owner is None else owner.canonical_id
        if not self.is_request:
            return None
        asked = _OF_THIS_REQUEST.get(key)
        if asked is not None:
            return asked(self.ctx)
        return self.ctx.headers.get(key[3:]) if key.startswith("s3:x-amz-") else None

    def _tag(self, key: str) -> str | None:
        if key.startswith(EXISTING_TAG):
            return self._existing_tags.get(key.removeprefix(EXISTING_TAG))
        if key.startswith(REQUEST_TAG):
            return self._request_tags.get(key.removeprefix(REQUEST_TAG))
        return self._bucket_tags.get(key.removeprefix(BUCKET_TAG)) if key.startswith(BUCKET_TAG) else None

    @cached_property
    def _existing_tags(self) -> Mapping[str, str]:
        version = self.existing()
        return _NO_TAGS if version is None else attributes_codec.decode(version.attributes).tags

    @cached_property
    def _bucket_tags(self) -> Mapping[str, str]:
        found = bucket_config.of(self.ctx.store, self.bucket).get(BUCKET_TAGS)
        return _NO_TAGS if found is None else found.tags

    @cached_property
    def _request_tags(self) -> Mapping[str, str]:
        """A document's are given as `extra`, since it is read after the header is authorised."""
        given = {
            key.removeprefix(REQUEST_TAG): each for key, each in self._given.items() if key.startswith(REQUEST_TAG)
        }
        text = self.ctx.headers.get("x-amz-tagging")
        if given or not text or not self.is_request:
            return given
        try:
            return tags.parse_header(text)
        except ObjectsError:
            return _NO_TAGS  # the handler refuses it in its own words


def _source_ip(ctx: RequestContext) -> str | None:
    address = address_of(ctx.address)
    return None if address is None else str(address)


def _auth_type(ctx: RequestContext) -> str | None:
    if ctx.principal.account is None:
        return None
    if ctx.form is not None:
        return "POST"
    return "REST-HEADER" if "authorization" in ctx.headers else "REST-QUERY-STRING"


def _signature_version(ctx: RequestContext) -> str | None:
    if ctx.principal.account is None:
        return None
    if ctx.form is not None:
        return "AWS" if "signature" in ctx.form else "AWS4-HMAC-SHA256"
    older = ctx.headers.get("authorization", "").startswith("AWS ") or "Signature" in ctx.query
    return "AWS" if older else "AWS4-HMAC-SHA256"


def _principal_type(ctx: RequestContext) -> str:
    if ctx.principal.account is None:
        return "Anonymous"
    return "User" if ctx.principal.user else "Account"


def _user_id(ctx: RequestContext) -> str:
    return ctx.principal.canonical_id or "anonymous"


def _user_name(ctx: RequestContext) -> str | None:
    return (ctx.principal.user or ctx.principal.canonical_id) or None


def _copy_source(ctx: RequestContext) -> str | None:
    text = ctx.headers.get("x-amz-copy-source")
    return None if text is None else unquote(text).removeprefix("/")


def _retention_days(ctx: RequestContext) -> str | None:
    until = parse_iso_time(ctx.headers.get("x-amz-object-lock-retain-until-date", ""))
    return None if until is None else str((until - ctx.store.clock.now_ms()) // _DAY_MS)


def _from_query(name: str) -> Callable[[RequestContext], str | None]:
    return lambda ctx: ctx.query.get(name)


def _from_header(name: str) -> Callable[[RequestContext], str | None]:
    return lambda ctx: ctx.headers.get(name)


_OF_EVERY_REQUEST: dict[str, Callable[[RequestContext], str | None]] = {
    "aws:sourceip": _source_ip,
    "aws:securetransport": lambda ctx: "true" if ctx.scheme == "https" else "false",
    "aws:currenttime": lambda ctx: iso_time(ctx.store.clock.now_ms()),
    "aws:epochtime": lambda ctx: str(ctx.store.clock.now_ms() // 1000),
    "aws:referer": _from_header("referer"),
    "aws:useragent": _from_header("user-agent"),
    "aws:requestedregion": lambda ctx: ctx.region,
    "aws:principaltype": _principal_type,
    "aws:principalarn": lambda ctx: ctx.principal.arn or None,
    "aws:principalaccount": lambda ctx: ctx.principal.canonical_id or None,
    "aws:principalisawsservice": lambda _ctx: "false",
    "aws:viaawsservice": lambda _ctx: "false",
    "aws:userid": _user_id,
    "aws:username": _user_name,
    "s3:authtype": _auth_type,
    "s3:signatureversion": _signature_version,
}
_OF_THIS_REQUEST: dict[str, Callable[[RequestContext], str | None]] = {
    "s3:prefix": _from_query("prefix"),
    "s3:delimiter": _from_query("delimiter"),
    "s3:max-keys": _from_query("max-keys"),
    "s3:versionid": _from_query("versionId"),
    "s3:if-match": _from_header("if-match"),
    "s3:if-none-match": _from_header("if-none-match"),
    "s3:object-lock-mode": _from_header("x-amz-object-lock-mode"),
    "s3:object-lock-retain-until-date": _from_header("x-amz-object-lock-retain-until-date"),
    "s3:object-lock-legal-hold": _from_header("x-amz-object-lock-legal-hold"),
    "s3:object-lock-remaining-retention-days": _retention_days,
    "s3:x-amz-copy-source": _copy_source,
}
