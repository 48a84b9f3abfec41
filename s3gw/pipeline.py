"""The conductor of a request: resolve, verify, authorise, handle, render, in this order and nowhere else.

Whatever goes wrong becomes an S3 error here; what nobody expected is an InternalError, logged once with its request id.
Once the first byte of an object has been sent an error can only break the connection off: wrong bytes are never sent.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from cyxcloud.core.clock import Clock
from cyxcloud.objects import buckets
from cyxcloud.objects.authorize import authorize
from cyxcloud.objects.principal import ANONYMOUS, Principal
from cyxcloud.objects.rights import of_a_version
from cyxcloud.objects.store import Store
from cyxcloud.shards.frames import Buffer
from s3gw import internal, xml
from s3gw.body import plan_body
from s3gw.context import RequestContext, Response
from s3gw.credentials import Credentials
from s3gw.errors import Code, S3Error, not_implemented
from s3gw.failures import LOGGED, as_s3_error
from s3gw.handlers import HANDLERS
from s3gw.intake import RequestBody
from s3gw.operations import BodyKind, Operation
from s3gw.resolve import Resolved, Resolver, split_target
from s3gw.sigv4 import Anonymous, RequestView, SignatureError, Verified, Verifier, fold_headers, header
from s3gw.stalls import SendWatch
from s3gw.unbuilt import refuse_unbuilt

log = structlog.get_logger(__name__)

SERVER = "CyxCloud"
# What x-amz-checksum-* describes in these is the finished object, not the body that is sent.
_CHECKSUM_OF_OBJECT = frozenset({"CompleteMultipartUpload"})
_EXPECTED_OWNER = "x-amz-expected-bucket-owner"
# Answers without a body whatever the handler or an error gives.
_BODILESS = frozenset({204, 304})


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
    verifier: Verifier
    clock: Clock
    region: str
    scheme: str = "http"
    request_ids: Iterator[str] = field(default_factory=_new_request_ids)
    sends: SendWatch = field(default_factory=SendWatch)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        request_id = next(self.request_ids)
        raw_path, raw_query = split_target(request.raw_path)
        resolved: Resolved | None = None
        if raw_path.startswith(internal.PREFIX):
            return internal.answer(raw_path, self.store, lambda: self._caller(request, raw_path, raw_query))
        try:
            headers = fold_headers(request.headers.items())
            host = header(headers, "host") or ""
            resolved = self.resolver.resolve(request.method, raw_path, raw_query, host, headers)
            view = RequestView(request.method, raw_path, raw_query, headers)
            response = await self._serve(request, resolved, view, request_id)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where whatever happened becomes an answer
            response = self._failure(error, resolved, raw_path, request_id)
        return await self._send(request, response, request_id)

    async def _serve(
        self, request: web.BaseRequest, resolved: Resolved, view: RequestView, request_id: str
    ) -> Response:
        verified, principal = self._verify(view)
        operation = resolved.operation
        headers = _single(view.headers)
        if operation.handler is None:
            refuse_unbuilt(operation, headers)
            raise not_implemented(f"{operation.name} is not implemented")
        if resolved.hoisted:
            if not (isinstance(verified, Verified) and verified.presigned):
                raise S3Error(Code.INVALID_REQUEST, "x-amz- parameters belong to presigned requests.")
            headers |= resolved.hoisted
        ctx = RequestContext(
            request_id=request_id,
            operation=operation,
            bucket_name=resolved.bucket,
            key_bytes=resolved.key,
            row=None if resolved.bucket is None else buckets.find(self.store, resolved.bucket),
            query=resolved.query,
            headers=headers,
            principal=principal,
            incoming=_incoming(request, operation, headers, verified),
            store=self.store,
            region=self.region,
            scheme=self.scheme,
        )
        _authorise(ctx)
        refuse_unbuilt(operation, headers)
        return await _primed(await HANDLERS[operation.handler](ctx))

    def _caller(self, request: web.BaseRequest, raw_path: str, raw_query: str) -> Principal:
        view = RequestView(request.method, raw_path, raw_query, fold_headers(request.headers.items()))
        try:
            return self._verify(view)[1]
        except SignatureError:
            return ANONYMOUS

    def _verify(self, view: RequestView) -> tuple[Verified | Anonymous, Principal]:
        claim = self.verifier.claim(view, self.clock.now_ms())
        if isinstance(claim, Anonymous):
            return claim, ANONYMOUS
        credential = self.credentials.find(claim.access_key)
        if credential is None:
            return self.verifier.check(claim, None), ANONYMOUS
        return self.verifier.check(claim, credential.secret), credential.principal

    def _failure(self, error: Exception, resolved: Resolved | None, raw_path: str, request_id: str) -> Response:
        failure = as_s3_error(error, resolved)
        if failure is None:
            log.error("request failed", request_id=request_id, operation=_name(resolved), exc_info=error)
            failure = S3Error(Code.INTERNAL_ERROR)
        elif isinstance(error, LOGGED):
            log.warning("request refused", request_id=request_id, operation=_name(resolved), reason=repr(error))
        if failure.code is Code.NOT_MODIFIED:
            validators = {"ETag": str(failure.fields["e_tag"]), "Last-Modified": str(failure.fields["last_modified"])}
            return Response(failure.status, validators)
        document = xml.error(failure, raw_path, request_id)
        return Response(failure.status, {"Content-Type": "application/xml"}, document)

    async def _send(self, request: web.BaseRequest, response: Response, request_id: str) -> web.StreamResponse:
        headers = response.headers
        headers["x-amz-request-id"] = request_id
        headers["Server"] = SERVER
        body = response.body
        if isinstance(body, AsyncIterator):
            return await _stream(request, response, body, self.sends)
        if request.method == "HEAD" or response.status in _BODILESS:
            answer = _bodiless(response, headers)
        else:
            answer = web.Response(status=response.status, headers=headers, body=body)
        if not request.content.is_eof() and "Expect" in request.headers:
            # Refused instead of told to continue, a client sends its next request where we would wait for the body.
            answer.force_close()
        return answer


def _single(headers: Mapping[str, str | list[str]]) -> dict[str, str]:
    """Several headers of a name are one list (RFC 9110 5.3)."""
    return {name: value if isinstance(value, str) else ",".join(value) for name, value in headers.items()}


def _incoming(
    request: web.BaseRequest, operation: Operation, headers: Mapping[str, str], verified: Verified | Anonymous
) -> RequestBody | None:
    if operation.body is BodyKind.NONE:
        return None
    plan = plan_body(headers, verified, checksum_is_body=operation.name not in _CHECKSUM_OF_OBJECT)
    return RequestBody(request, plan)


def _name(resolved: Resolved | None) -> str:
    return resolved.operation.name if resolved else ""


def _authorise(ctx: RequestContext) -> None:
    operation, row = ctx.operation, ctx.row
    permission = operation.permission
    if "versionId" in ctx.query:
        permission = of_a_version(permission)
    makes_bucket = operation.name == "CreateBucket"
    if ctx.bucket_name is not None and row is None and not makes_bucket:
        raise S3Error(Code.NO_SUCH_BUCKET, bucket_name=ctx.bucket_name)
    owner = None if row is None or makes_bucket else row.account
    decision = authorize(ctx.principal, permission, owner)
    if not decision.allowed:
        raise S3Error(Code.ACCESS_DENIED)
    expected = ctx.headers.get(_EXPECTED_OWNER)
    if expected is not None and expected != ctx.principal.canonical_id:
        raise S3Error(Code.ACCESS_DENIED)


async def _primed(response: Response) -> Response:
    """The first piece is had before the status goes out: a chunk that cannot be read is still an error answer."""
    body = response.body
    if not isinstance(body, AsyncIterator):
        return response
    first = await anext(body)
    return response._replace(body=_rejoined(first, body))


async def _rejoined(first: Buffer, rest: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    async with aclosing(rest) as pieces:  # type: ignore[type-var]
        yield first
        async for piece in pieces:
            yield piece


def _bodiless(response: Response, headers: dict[str, str]) -> web.Response:
    """A HEAD says how long the body would be."""
    if response.length is not None and response.status not in _BODILESS:
        headers["Content-Length"] = str(response.length)
    return web.Response(status=response.status, headers=headers)


async def _stream(
    request: web.BaseRequest, response: Response, body: AsyncIterator[Buffer], sends: SendWatch
) -> web.StreamResponse:
    answer = web.StreamResponse(status=response.status, headers=response.headers)
    answer.content_length = response.length
    async with aclosing(body) as pieces:  # type: ignore[type-var]
        if request.transport is None:
            raise ConnectionResetError("the client left before the first byte")
        await answer.prepare(request)
        try:
            with sends.watched(request.transport) as sending:
                async for piece in pieces:
                    sending.given += len(piece)
                    await answer.write(piece)
        except ConnectionError:
            raise
        except Exception as error:
            log.exception("read broke off", request_id=response.headers["x-amz-request-id"])
            raise ConnectionResetError("the object could not be read to its end") from error
    await answer.write_eof()
    return answer
