"""Serves buckets as websites, at hosts of the website domains: GET and HEAD of anybody, answered in HTML.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html

It decides nothing about access: each key is read by `read`, which is the pipeline's own anonymous GetObject, and what
that refuses is refused here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus

from cyxcloud.objects.website import Asked, SentOn, Website, key_of, sent_on, sent_to_folder
from s3gw.bucket_names import check_bucket_name
from s3gw.context import Response
from s3gw.errors import Code, S3Error
from s3gw.failures import as_s3_error
from s3gw.operations import OPERATIONS
from s3gw.request import REDIRECT_LOCATION
from s3gw.resolve import EMPTY, Resolved, Resolver
from s3gw.sigv4 import RequestView, header

# What a visitor's request may say of the representation that it wants; an error's page is always whole.
_REPRESENTATION = frozenset(
    ("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
)
_OPERATIONS = {row.method: row for row in OPERATIONS if row.name in ("GetObject", "HeadObject")}

Read = Callable[[bytes, Mapping[str, str | list[str]]], Awaitable[Response]]
Serve = Callable[[Resolved, RequestView], Awaitable[Response]]


class Websites:
    """`domains` are the names under which `bucket.name` is the bucket's website."""

    def __init__(self, domains: Iterable[str] = ()) -> None:
        self._resolver = Resolver(domains, ())
        self._has_domains = bool(tuple(domains))

    def serves(self, host: str) -> bool:
        return self._has_domains and self._resolver.bucket_of_host(host) is not None

    def address(self, raw_path: str, host: str) -> tuple[str | None, bytes | None]:
        return self._resolver.address(raw_path, host)

    def resolve(self, method: str, raw_path: str, host: str) -> Resolved:
        operation = _OPERATIONS.get(method)
        if operation is None:
            raise S3Error(Code.METHOD_NOT_ALLOWED, method=method, resource_type="OBJECT")
        bucket, key = self.address(raw_path, host)
        check_bucket_name(bucket or "")
        return Resolved(operation, bucket, key or b"", EMPTY, EMPTY)


async def visit(site: Website, scheme: str, resolved: Resolved, view: RequestView, serve: Serve) -> Response:
    """The page that is asked for, read by `serve` as anybody's GetObject: no header of it can sign."""
    unsigned = {
        name: value for name, value in view.headers.items() if name != "authorization" and not name.startswith("x-amz-")
    }

    async def read(key: bytes, headers: Mapping[str, str | list[str]]) -> Response:
        return await serve(resolved._replace(key=key), RequestView(view.method, view.raw_path, "", headers))

    asked = Asked(header(view.headers, "host") or "", scheme, resolved.key or b"", view.raw_query)
    return await _Visit(site, asked, unsigned, read).answer()


@dataclass(frozen=True, slots=True)
class _Visit:
    site: Website
    asked: Asked
    headers: Mapping[str, str | list[str]]
    read: Read

    async def answer(self) -> Response:
        """Raises S3Error for what `page_of` has to show."""
        site, asked = self.site, self.asked
        elsewhere = sent_on(site, asked)
        if elsewhere is not None:
            return _redirect(elsewhere)
        try:
            return await self._page(key_of(site, asked))
        except Exception as error:
            failure = as_s3_error(error, None)
            if failure is None or failure.status < 400:
                raise
            return await self._failed(failure)

    async def _page(self, key: bytes) -> Response:
        response = await self.read(key, self.headers)
        location = response.headers.get(REDIRECT_LOCATION)
        if location is None:
            return response
        if isinstance(response.body, AsyncIterator):
            await response.body.aclose()  # type: ignore[attr-defined]
        return _redirect(SentOn(301, location))

    async def _failed(self, failure: S3Error) -> Response:
        site, asked = self.site, self.asked
        # One who may not list is not told that a key is missing, but may well read the folder's index.
        is_missing = failure.status in (403, 404) and asked.key and not asked.key.endswith(b"/")
        if is_missing and await self._has(asked.key + b"/"):
            return _redirect(sent_to_folder(asked))
        elsewhere = sent_on(site, asked, failure.status)
        if elsewhere is not None:
            return _redirect(elsewhere)
        if not site.error:
            raise failure
        try:
            page = await self.read(site.error.encode(), self._whole)
        except Exception as error:
            if as_s3_error(error, None) is None:
                raise
            raise failure from error
        return page._replace(status=failure.status)

    @property
    def _whole(self) -> dict[str, str | list[str]]:
        return {name: value for name, value in self.headers.items() if name not in _REPRESENTATION}

    async def _has(self, folder: bytes) -> bool:
        try:
            response = await self.read(folder + self.site.index.encode(), self._whole)
        except Exception as error:
            if as_s3_error(error, None) is None:
                raise
            return False
        if isinstance(response.body, AsyncIterator):
            await response.body.aclose()  # type: ignore[attr-defined]
        return True


def _redirect(to: SentOn) -> Response:
    return Response(to.status, {"Location": to.location})


def page_of(failure: S3Error, request_id: str) -> Response:
    """An error as people read it."""
    title = f"{failure.status} {HTTPStatus(failure.status).phrase}"
    items = [("Code", failure.code.text), ("Message", failure.message)]
    items += [(name.title().replace("_", ""), _text(value)) for name, value in failure.fields.items()]
    listed = "".join([f"<li>{name}: {escape(value)}</li>\n" for name, value in [*items, ("RequestId", request_id)]])
    page = (
        f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n{listed}</ul>\n<hr/>\n"
        "</body>\n</html>\n"
    )
    headers = {"Content-Type": "text/html; charset=utf-8", "x-amz-error-code": failure.code.text}
    return Response(failure.status, headers, page.encode("utf-8", "replace"))


def _text(value: str | int | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
