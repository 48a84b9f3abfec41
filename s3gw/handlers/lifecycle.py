"""Lifecycle rules of a bucket, and what answers about its objects say of them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from urllib.parse import quote

from cyxcloud.objects import bucket_config, lifecycle
from cyxcloud.objects.lifecycle import ALL_CLASSES, BY_CLASS, DAY_MS, LIFECYCLE, Facts
from s3gw.configuration import lifecycle as documents
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error
from s3gw.times import http_date

LEAST_MOVED = "x-amz-transition-default-minimum-object-size"
EXPIRATION = "x-amz-expiration"
ID_BYTES = 36


async def get_bucket_lifecycle(ctx: RequestContext) -> Response:
    rules = ctx.config.get(LIFECYCLE)
    if rules is None:
        raise S3Error(Code.NO_SUCH_LIFECYCLE_CONFIGURATION, bucket_name=ctx.bucket.name)
    return xml_response(documents.render(rules), headers={LEAST_MOVED: rules.least_moved})


async def put_bucket_lifecycle(ctx: RequestContext) -> Response:
    if not ctx.body.checked:
        raise S3Error(Code.INVALID_REQUEST, "Missing required header for this request: Content-MD5")
    least_moved = ctx.headers.get(LEAST_MOVED, ALL_CLASSES)
    if least_moved not in (ALL_CLASSES, BY_CLASS):
        raise S3Error(Code.INVALID_ARGUMENT, argument_name=LEAST_MOVED, argument_value=least_moved)
    body = await ctx.body.read_document(documents.MAX_BYTES)
    rules = documents.parse(body, _new_id, least_moved, economical=ctx.store.day_ms == DAY_MS)
    await bucket_config.put(ctx.store, ctx.bucket, LIFECYCLE, rules)
    return Response(200, {LEAST_MOVED: least_moved})


async def delete_bucket_lifecycle(ctx: RequestContext) -> Response:
    await bucket_config.remove(ctx.store, ctx.bucket, LIFECYCLE)
    return Response(204, {})


def _new_id() -> str:
    return base64.b64encode(secrets.token_bytes(ID_BYTES)).decode()


def expiration_header(ctx: RequestContext, size: int, mtime_ms: int, tags: Mapping[str, str]) -> dict[str, str]:
    """When the current version that an answer is about will expire, if a rule says so."""
    rules = ctx.config.get(LIFECYCLE)
    if rules is None:
        return {}
    soonest = lifecycle.expiry_of(rules, Facts(ctx.key, size, tags, "", mtime_ms))
    if soonest is None:
        return {}
    at_ms, rule_id = soonest
    return {EXPIRATION: f'expiry-date="{http_date(at_ms)}", rule-id="{quote(rule_id)}"'}


def abort_headers(ctx: RequestContext, begun_ms: int) -> dict[str, str]:
    """When an unfinished upload will be aborted, if a rule says so."""
    rules = ctx.config.get(LIFECYCLE)
    abort = None if rules is None else lifecycle.abort_of(rules, ctx.key, begun_ms)
    if abort is None:
        return {}
    at_ms, rule_id = abort
    return {"x-amz-abort-date": http_date(at_ms), "x-amz-abort-rule-id": quote(rule_id)}
