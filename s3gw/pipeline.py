"""The conductor of a request: resolve, verify, authorise, handle, render, in this order and nowhere else.

Whatever goes wrong becomes an S3 error here; what nobody expected is an InternalError, logged once with its request id.
Once the first byte of an object has been sent an error can only break the connection off: wrong bytes are never sent.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from cyxcloud.core.clock import Clock
from cyxcloud.meta.reads import ObjectRead
from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects import bucket_config, buckets, get
from cyxcloud.objects.bucket_config import NOTHING_CONFIGURED
from cyxcloud.objects.cors import CORS
from cyxcloud.objects.principal import ANONYMOUS, Principal
from cyxcloud.objects.store import Store
from cyxcloud.objects.website import WEBSITE
from s3gw import internal, payment, sharing, websites, xml
from s3gw.access_log import AccessLogs, Observed, demand_log
from s3gw.answer import Answer
from s3gw.authority import authorise
from s3gw.body import plan_body
from s3gw.context import RequestContext, Response
from s3gw.credentials import Credentials
from s3gw.errors import Code, S3Error, not_implemented
from s3gw.failures import LOGGED, as_s3_error
from s3gw.handlers import HANDLERS
from s3gw.intake import RequestBody
from s3gw.operations import BodyKind, Operation, words
from s3gw.post.receive import Endpoint, Form, receive
from s3gw.reads import RunningReads
from s3gw.render import primed, render
from s3gw.resolve import Resolved, Resolver, split_target
from s3gw.signatures import Caller, Door
from s3gw.sigv4 import Anonymous, RequestView, SignatureError, fold_headers, header
from s3gw.stalls import SendWatch
from s3gw.version_ids import named_version
from s3gw.websites import Websites

log = structlog.get_logger(__name__)

# What x-amz-checksum-* describes in these is the finished object, not the body that is sent.
_CHECKSUM_OF_OBJECT = frozenset({"CompleteMultipartUpload"})
# These read bytes that may be deleted meanwhile.
_READS_BYTES = frozenset({"get_object", "copy_object", "upload_part_copy"})
_READS_KEY = words(
    """get_object head_object get_object_attributes get_object_tagging put_object_tagging delete_object_tagging
    get_object_retention put_object_retention get_object_legal_hold put_object_legal_hold
    restore_object get_object_acl put_object_acl"""
)


def _new_request_ids() -> Iterator[str]:
    """Sixteen hex digits: this worker's own eight, then a count. A system call for each would be dear."""
    worker = os.urandom(4).hex().upper()
    return (f"{worker}{count:08X}" for count in itertools.count(1))


@dataclass(slots=True)
class Gateway:
    """`store` is replaced when this process opens another write session; a request keeps the one it began with."""

    store: Store
    credentials: Credentials
    resolver: Resolver
    door: Door
    clock: Clock
    region: str
    scheme: str = "http"
    websites: Websites = field(default_factory=Websites)
    requires_logs: bool = False
    request_ids: Iterator[str] = field(default_factory=_new_request_ids)
    sends: SendWatch = field(default_factory=SendWatch)
    reads: RunningReads = field(init=False)
    access_logs: AccessLogs = field(init=False)

    def __post_init__(self) -> None:
        self.reads = RunningReads(self.clock)
        self.access_logs = AccessLogs(self.clock)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | Answer:
        request_id = next(self.request_ids)
        raw_path, raw_query = split_target(request.raw_path)
        resolved: Resolved | None = None
        reading: int | None = None
        is_page = False
        seen: Observed | None = None
        if raw_path.startswith(internal.PREFIX):
            return internal.answer(raw_path, self.store, lambda: self._caller(request, raw_path, raw_query))
        headers = fold_headers(request.headers.items())
        try:
            host = header(headers, "host") or ""
            is_page = self.websites.serves(host)
            if request.method == "OPTIONS":
                response = self._preflight(raw_path, host, headers)
            elif is_page:
                resolved = self.websites.resolve(request.method, raw_path, host)
                reading = self.reads.begin()
                view = RequestView(request.method, raw_path, raw_query, headers)
                seen = Observed(self.clock.monotonic(), resolved, is_page=True)
                response = await self._visit(request, resolved, view, request_id, seen=seen)
            else:
                resolved = self.resolver.resolve(request.method, raw_path, raw_query, host, headers)
                view = RequestView(request.method, raw_path, raw_query, headers)
                if resolved.operation.handler in _READS_BYTES:
                    reading = self.reads.begin()
                seen = Observed(self.clock.monotonic(), resolved)
                response = await self._serve(request, resolved, view, request_id, seen=seen)
        except Exception as error:  # noqa: BLE001 - the one place where whatever happened becomes an answer
            response = self._failure(error, resolved, raw_path, request_id, is_page=is_page)
        if "origin" in headers and resolved is not None:
            response.headers.update(self._shared(request, resolved.bucket))
        logged = None if seen is None or seen.is_of_a_bare_bucket else self._logged(seen)
        try:
            return await render(request, response, request_id, self.clock.now_ms(), self.sends)
        finally:
            if logged is not None and seen is not None:
                self.access_logs.note(self.store, logged, seen, request, response)
            if reading is not None:
                self.reads.end(reading)

    async def _serve(
        self,
        request: web.BaseRequest,
        resolved: Resolved,
        view: RequestView,
        request_id: str,
        *,
        seen: Observed,
    ) -> Response:
        verified, principal = self._verify(view)
        seen.caller, seen.principal = verified, principal
        operation = resolved.operation
        headers = _single(view.headers)
        if operation.handler is None:
            raise not_implemented(f"{operation.name} is not implemented")
        if resolved.hoisted:
            if isinstance(verified, Anonymous) or not verified.presigned:
                raise S3Error(Code.INVALID_REQUEST, "x-amz- parameters belong to presigned requests.")
            headers |= resolved.hoisted
        row, found = self._look_up(resolved)
        key, fields, incoming = resolved.key, None, None
        if operation.body is BodyKind.FORM:
            form = await self._receive_form(request, row, headers, verified)
            principal, key, headers, fields, incoming = form
        elif operation.body is not BodyKind.NONE:
            incoming = _incoming(request, operation, headers, verified)
        ctx = RequestContext(
            request_id=request_id,
            operation=operation,
            bucket_name=resolved.bucket,
            key_bytes=key,
            row=row,
            found=found,
            query=resolved.query,
            headers=headers,
            principal=principal,
            incoming=incoming,
            store=self.store,
            region=self.region,
            scheme=self.scheme,
            config=NOTHING_CONFIGURED if row is None else bucket_config.of(self.store, row),
            address=request.remote or "",
            form=fields,
        )
        seen.ctx, seen.principal = ctx, principal
        authorise(ctx)
        if self.requires_logs and not ctx.config.is_empty:
            demand_log(ctx)
        is_charged = payment.is_charged_to_requester(ctx)
        response = await primed(await HANDLERS[operation.handler](ctx))
        return payment.charged(response) if is_charged else response

    async def _visit(
        self,
        request: web.BaseRequest,
        resolved: Resolved,
        view: RequestView,
        request_id: str,
        *,
        seen: Observed,
    ) -> Response:
        row = buckets.find(self.store, resolved.bucket or "")
        if row is None:
            raise S3Error(Code.NO_SUCH_BUCKET, bucket_name=resolved.bucket or "")
        site = bucket_config.of(self.store, row).get(WEBSITE)
        if site is None:
            raise S3Error(Code.NO_SUCH_WEBSITE_CONFIGURATION, bucket_name=row.name)

        async def serve(of: Resolved, unsigned: RequestView) -> Response:
            return await self._serve(request, of, unsigned, request_id, seen=seen)

        return await websites.visit(site, self.scheme, resolved, view, serve)

    def _logged(self, seen: Observed) -> BucketRow | None:
        """What cannot be found out leaves the answer as it is."""
        try:
            return self.access_logs.logged(self.store, seen)
        except Exception:
            log.exception("access log not kept", bucket=seen.resolved.bucket)
            return None

    def _preflight(self, raw_path: str, host: str, headers: Mapping[str, str | list[str]]) -> Response:
        """A browser asks for leave, unsigned, before it sends the request that a script wants."""
        single = _single(headers)
        sharing.check_preflight(single)
        names = self.websites if self.websites.serves(host) else self.resolver
        bucket, key = names.address(raw_path, host)
        row = None if bucket is None else buckets.find(self.store, bucket)
        if row is None:
            raise S3Error(Code.NO_SUCH_BUCKET, bucket_name=bucket or "")
        rules = bucket_config.of(self.store, row).get(CORS)
        return sharing.preflight(single, rules, names_key=key is not None)

    def _shared(self, request: web.BaseRequest, bucket: str | None) -> dict[str, str]:
        """Rules that cannot be read share nothing, and leave the answer as it is."""
        row = None if bucket is None else buckets.find(self.store, bucket)
        try:
            rules = None if row is None else bucket_config.of(self.store, row).get(CORS)
        except bucket_config.UnreadableConfig:
            log.exception("CORS rules not read", bucket=bucket)
            return {}
        return {} if rules is None else sharing.shared_headers(request.headers, request.method, rules)

    async def _receive_form(
        self, request: web.BaseRequest, row: BucketRow | None, headers: Mapping[str, str], verified: Caller
    ) -> Form:
        """What the other operations have in their headers this one has in its body: who signed it, too."""
        if row is None:
            raise S3Error(Code.NO_SUCH_BUCKET)
        if not isinstance(verified, Anonymous):
            raise S3Error(Code.INVALID_ARGUMENT, "Only one auth mechanism allowed; a form carries its own signature")
        return await receive(request, Endpoint(row.name, headers, self.region), self.credentials, self.clock.now_ms())

    def _look_up(self, resolved: Resolved) -> tuple[BucketRow | None, ObjectRead | None]:
        """The bucket that is named, and with it the key's version where the operation reads one: one statement."""
        if resolved.bucket is None:
            return None, None
        handler = resolved.operation.handler
        if handler in _READS_KEY and resolved.key is not None:
            named = named_version(resolved.query) if resolved.query else None
            found = get.find(self.store, resolved.bucket, resolved.key, with_body=handler == "get_object", named=named)
            return found.bucket, found
        return buckets.find(self.store, resolved.bucket), None

    def _caller(self, request: web.BaseRequest, raw_path: str, raw_query: str) -> Principal:
        view = RequestView(request.method, raw_path, raw_query, fold_headers(request.headers.items()))
        try:
            return self._verify(view)[1]
        except SignatureError:
            return ANONYMOUS

    def _verify(self, view: RequestView) -> tuple[Caller, Principal]:
        claim = self.door.claim(view, self.clock.now_ms())
        if isinstance(claim, Anonymous):
            return claim, ANONYMOUS
        credential = self.credentials.find(claim.access_key)
        if credential is None:
            return self.door.check(claim, None), ANONYMOUS
        return self.door.check(claim, credential.secret), credential.principal

    def _failure(
        self, error: Exception, resolved: Resolved | None, raw_path: str, request_id: str, *, is_page: bool
    ) -> Response:
        failure = as_s3_error(error, resolved)
        if failure is None:
            log.error("request failed", request_id=request_id, operation=_name(resolved), exc_info=error)
            failure = S3Error(Code.INTERNAL_ERROR)
        elif isinstance(error, LOGGED):
            log.warning("request refused", request_id=request_id, operation=_name(resolved), reason=repr(error))
        if failure.code is Code.NOT_MODIFIED:
            validators = {"ETag": str(failure.fields["e_tag"]), "Last-Modified": str(failure.fields["last_modified"])}
            return Response(failure.status, validators)
        if is_page:
            return websites.page_of(failure, request_id)
        document = xml.error(failure, raw_path, request_id)
        return Response(failure.status, {"Content-Type": "application/xml"} | failure.headers, document)


def _single(headers: Mapping[str, str | list[str]]) -> dict[str, str]:
    """Several headers of a name are one list (RFC 9110 5.3)."""
    return {name: value if isinstance(value, str) else ",".join(value) for name, value in headers.items()}


def _incoming(
    request: web.BaseRequest, operation: Operation, headers: Mapping[str, str], verified: Caller
) -> RequestBody:
    plan = plan_body(headers, verified, checksum_is_body=operation.name not in _CHECKSUM_OF_OBJECT)
    return RequestBody(request, plan)


def _name(resolved: Resolved | None) -> str:
    return resolved.operation.name if resolved else ""
