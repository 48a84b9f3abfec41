"""Cross-origin requests at the edge: the preflight, and the headers that other answers get (pure).

A preflight asks for no signature, as browsers send none; what it allows is said again of the request itself, errors
included, and that one is authorised like any other.
"""

from __future__ import annotations

from collections.abc import Mapping

from cyxcloud.objects.cors import METHODS, CorsRules, Shared, match
from s3gw.context import Response
from s3gw.errors import Code, S3Error
from s3gw.parameters import is_token

_ORIGIN = "origin"
_METHOD = "access-control-request-method"
_HEADERS = "access-control-request-headers"
_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
_NOT_ENABLED = "CORSResponse: CORS is not enabled for this bucket."
_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / "
    "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)


def check_preflight(headers: Mapping[str, str]) -> None:
    """What is wrong with one whatever the bucket."""
    if _ORIGIN not in headers:
        raise S3Error(Code.BAD_REQUEST, "Insufficient information. Origin request header needed.")
    method = headers.get(_METHOD)
    if method not in METHODS:
        shown = "null" if method is None else method
        raise S3Error(Code.BAD_REQUEST, f"Invalid Access-Control-Request-Method: {shown}")
    _asked_headers(headers)


def _asked_headers(headers: Mapping[str, str]) -> list[str]:
    asked = headers.get(_HEADERS, "")
    names = asked.split(",") if asked else []
    for name in names:
        if not is_token(name.strip()):
            raise S3Error(Code.BAD_REQUEST, f'Access-Control-Request-Headers "{name}" contains invalid character.')
    return [name.strip().lower() for name in names]


def preflight(headers: Mapping[str, str], rules: CorsRules | None, *, names_key: bool) -> Response:
    method = headers[_METHOD]
    kind = "OBJECT" if names_key else "BUCKET"
    if rules is None:
        raise S3Error(Code.ACCESS_FORBIDDEN, _NOT_ENABLED, method=method, resource_type=kind)
    asked = _asked_headers(headers)
    shared = match(rules, headers[_ORIGIN], method, asked)
    if shared is None:
        raise S3Error(Code.ACCESS_FORBIDDEN, _NOT_ALLOWED, method=method, resource_type=kind)
    answer = _said(shared)
    if asked:
        answer["Access-Control-Allow-Headers"] = ", ".join(asked)
    return Response(200, answer)


def shared_headers(headers: Mapping[str, str], method: str, rules: CorsRules) -> dict[str, str]:
    """Of the answer to an actual request that names its origin (`headers` by name in any case); caches must know that
    it depends on that."""
    shared = match(rules, headers[_ORIGIN], headers.get(_METHOD, method))
    return {"Vary": _VARY} if shared is None else _said(shared)


def _said(shared: Shared) -> dict[str, str]:
    rule = shared.rule
    said = {"Access-Control-Allow-Origin": shared.origin, "Access-Control-Allow-Methods": ", ".join(rule.methods)}
    if rule.exposed:
        said["Access-Control-Expose-Headers"] = ", ".join(rule.exposed)
    if rule.max_age_seconds is not None:
        said["Access-Control-Max-Age"] = str(rule.max_age_seconds)
    if shared.origin != "*":
        said["Access-Control-Allow-Credentials"] = "true"
    return said | {"Vary": _VARY}
