"""Requests of buckets that keep an access log, as lines: held for a moment, then written to the database in batches.

A request of a bucket without a log costs a look at what is kept of it, once it is answered. Lines that cannot be
written wait, and beyond a bound the newest are dropped and counted, since a log must not take the worker down: like
Amazon's, it is kept as well as can be and is no proof that nothing else was asked. What a worker holds when it is
killed, half a second's lines, is lost.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

import structlog
from aiohttp import web

from cyxcloud.core.clock import Clock
from cyxcloud.core.ids import BucketId
from cyxcloud.meta import access_logs, bucket_work
from cyxcloud.meta.access_logs import LogRow
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects import bucket_config, buckets
from cyxcloud.objects.access_log import LOGGING, UNDELIVERABLE, Line, operation_of
from cyxcloud.objects.authorize import Basis
from cyxcloud.objects.bucket_config import NOTHING_CONFIGURED, BucketConfig
from cyxcloud.objects.principal import ANONYMOUS, Principal
from cyxcloud.objects.rights import of_a_version
from cyxcloud.objects.store import Store
from s3gw.authority import decide
from s3gw.context import RequestContext, Response
from s3gw.errors import Code, S3Error
from s3gw.operations import BodyKind
from s3gw.resolve import Resolved
from s3gw.signatures import Caller
from s3gw.sigv2 import VerifiedV2
from s3gw.sigv4 import Anonymous

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 0.5
# Half a kibibyte each: what a worker holds while the database is busy, and what one transaction takes.
MAX_HELD = 20_000
LINES_A_COMMIT = 500


@dataclass(slots=True)
class Observed:
    """A request that may have to be logged, as far as it has come."""

    begun: float
    resolved: Resolved
    caller: Caller | None = None
    principal: Principal = ANONYMOUS
    ctx: RequestContext | None = None
    answered: float = 0.0
    is_page: bool = False
    """Of a website."""

    @property
    def is_of_a_bare_bucket(self) -> bool:
        """Of which nothing is configured, so no log either."""
        return self.ctx is not None and self.ctx.config.is_empty


class HeldLines:
    """Lines on their way to the database, bounded; one flush at a time."""

    def __init__(self) -> None:
        self._rows: list[tuple[BucketId, LogRow]] = []
        self._dropped = 0

    def add(self, bucket: BucketId, row: LogRow) -> None:
        if len(self._rows) < MAX_HELD:
            self._rows.append((bucket, row))
        else:
            self._dropped += 1

    async def flush(self, change: Callable[[Callable[[Connection], None]], Awaitable[None]]) -> None:
        """What could not be written waits for the next time."""
        if self._dropped:
            log.warning("lines of access logs were dropped", lines=self._dropped)
            self._dropped = 0
        while self._rows:
            batch = self._rows[:LINES_A_COMMIT]
            await change(partial(access_logs.append, rows=batch))
            del self._rows[: len(batch)]


class AccessLogs:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held = HeldLines()

    def logged(self, store: Store, seen: Observed) -> BucketRow | None:
        """The bucket that keeps a log of this request, whose answer is about to go out."""
        ctx = seen.ctx
        if ctx is not None:
            bucket, config = ctx.row, ctx.config
        else:
            bucket, config = _refused_at(store, seen.resolved.bucket)
        if bucket is None or config.get(LOGGING) is None:
            return None
        seen.answered = self._clock.monotonic()
        return bucket

    def note(
        self, store: Store, bucket: BucketRow, seen: Observed, request: web.BaseRequest, response: Response
    ) -> None:
        line = self._line(store, bucket, seen, request, response)
        for each in [line._replace(key=key) for key in response.keys] or [line]:
            self._held.add(bucket.id, LogRow(store.ids.next(), line.at_ms, each.text()))

    async def flush(self, store: Store) -> None:
        await self._held.flush(lambda function: store.change(function, is_long=True))

    def _line(
        self, store: Store, bucket: BucketRow, seen: Observed, request: web.BaseRequest, response: Response
    ) -> Line:
        operation, ctx, headers = seen.resolved.operation, seen.ctx, request.headers
        owner = store.accounts.find(bucket.account)
        total_ms = round((self._clock.monotonic() - seen.begun) * 1000)
        return Line(
            owner="" if owner is None else owner.canonical_id,
            bucket=bucket.name,
            at_ms=self._clock.now_ms() - total_ms,
            address=request.remote or "",
            requester=seen.principal.canonical_id,
            request_id=response.headers.get("x-amz-request-id", ""),
            operation=operation_of(request.method, operation.name, is_page=seen.is_page),
            key=seen.resolved.key if ctx is None else ctx.key_bytes,
            request=f"{request.method} {request.raw_path} HTTP/{request.version.major}.{request.version.minor}",
            status=response.status,
            error=_error_of(response),
            bytes_sent=_bytes_sent(request, response),
            object_size=_object_size(ctx),
            total_ms=total_ms,
            turnaround_ms=round((seen.answered - seen.begun) * 1000),
            referrer=headers.get("Referer", ""),
            user_agent=headers.get("User-Agent", ""),
            version=response.headers.get("x-amz-version-id", ""),
            signature=_signature(seen.caller),
            cipher=_cipher(request),
            authentication=_authentication(seen),
            host=headers.get("Host", ""),
            tls=_tls(request),
            acl_required=ctx is not None and response.status < HTTPStatus.BAD_REQUEST and _needed_acl(ctx),
        )


def demand_log(ctx: RequestContext) -> None:
    """Where no object may be served without its line: AccessDenied while the bucket's log cannot be delivered. The
    refusal is a line, too, and the first that is delivered opens the bucket again."""
    if ctx.row is None or ctx.key_bytes is None or ctx.config.get(LOGGING) is None:
        return
    if bucket_work.read(ctx.store.reader, ctx.row.id, UNDELIVERABLE) is not None:
        raise S3Error(Code.ACCESS_DENIED, "Logging bucket cannot be written to")


def _refused_at(store: Store, name: str | None) -> tuple[BucketRow | None, BucketConfig]:
    """The bucket of a request that was refused before it was looked up."""
    bucket = None if name is None else buckets.find(store, name)
    return bucket, NOTHING_CONFIGURED if bucket is None else bucket_config.of(store, bucket)


def _needed_acl(ctx: RequestContext) -> bool:
    """Asked again, after the answer: only of requests that are logged."""
    if ctx.row is None or ctx.principal.owns(ctx.row.account):
        return False
    permission = ctx.operation.permission
    version = None if ctx.found is None else ctx.found.version
    asked = of_a_version(permission) if "versionId" in ctx.query else permission
    return decide(ctx, asked, version=version).basis is Basis.ACL


def _error_of(response: Response) -> str:
    if response.status < HTTPStatus.BAD_REQUEST or not isinstance(response.body, bytes):
        return ""
    return response.body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode(errors="replace")


def _bytes_sent(request: web.BaseRequest, response: Response) -> int | None:
    if request.method == "HEAD":
        return None
    return response.length if response.length is not None else len(response.body)  # type: ignore[arg-type] # no iterator is without a length


def _object_size(ctx: RequestContext | None) -> int | None:
    if ctx is None:
        return None
    if ctx.found is not None and ctx.found.version is not None:
        return ctx.found.version.size
    if ctx.operation.body is BodyKind.STREAM and ctx.incoming is not None:
        return ctx.incoming.length
    return None


def _signature(caller: Caller | None) -> str:
    if caller is None or isinstance(caller, Anonymous):
        return ""
    return "SigV2" if isinstance(caller, VerifiedV2) else "SigV4"


def _authentication(seen: Observed) -> str:
    if seen.caller is None or isinstance(seen.caller, Anonymous):
        return "HtmlForm" if seen.resolved.operation.body is BodyKind.FORM and seen.principal.account else ""
    return "QueryString" if seen.caller.presigned else "AuthHeader"


def _tls_of(request: web.BaseRequest) -> ssl.SSLObject | None:
    return None if request.transport is None else request.transport.get_extra_info("ssl_object")


def _cipher(request: web.BaseRequest) -> str:
    connection = _tls_of(request)
    cipher = None if connection is None else connection.cipher()
    return "" if cipher is None else cipher[0]


def _tls(request: web.BaseRequest) -> str:
    connection = _tls_of(request)
    return "" if connection is None else connection.version() or ""
