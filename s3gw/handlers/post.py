"""POST Object: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from s3gw import xml
from s3gw.context import RequestContext, Response, xml_response
from s3gw.handlers.objects import put_object

_STATUSES = {"200": 200, "201": 201}


async def post_object(ctx: RequestContext) -> Response:
    """By now the form's fields are headers and its file the body: what is left is a PUT with another answer."""
    assert ctx.form is not None, "the operation's row says that its body is a form"
    stored = await put_object(ctx)
    etag, location = stored.headers["ETag"], _location(ctx)
    redirect = ctx.form.get("success_action_redirect") or ctx.form.get("redirect") or ""
    if _is_url(redirect):
        target = _redirected(redirect, ctx.bucket.name, ctx.key, etag)
        return Response(303, stored.headers | {"Location": target})
    headers = stored.headers | {"Location": location}
    status = _STATUSES.get(ctx.form.get("success_action_status", ""), 204)
    if status == 201:
        return xml_response(xml.post_response(location, ctx.bucket.name, ctx.key, etag), status=201, headers=headers)
    return Response(status, headers)


def _location(ctx: RequestContext) -> str:
    return f"{ctx.scheme}://{ctx.headers['host']}/{ctx.bucket.name}/{quote(ctx.key)}"


def _is_url(text: str) -> bool:
    """A redirect that cannot be understood is as if it was not given, S3 says."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text.isascii() and text.isprintable()


def _redirected(url: str, bucket: str, key: bytes, etag: str) -> str:
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}bucket={quote(bucket)}&key={quote(key)}&etag={quote(etag)}"
