from __future__ import annotations

import pytest

from cyxcloud.objects.cors import CORS, CorsRule, CorsRules
from s3gw.configuration.cors import parse, render
from s3gw.errors import Code, S3Error


def document(*rules: str) -> bytes:
    return (
        f"<CORSConfiguration>{''.join(f'<CORSRule>{rule}</CORSRule>' for rule in rules)}</CORSConfiguration>".encode()
    )


GET = "<AllowedMethod>GET</AllowedMethod>"
ANY = "<AllowedOrigin>*</AllowedOrigin>"
FULL = (
    "<ID>one &amp; only</ID><AllowedHeader>x-*</AllowedHeader><AllowedHeader>Range</AllowedHeader>"
    "<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedOrigin>http://*.example</AllowedOrigin>"
    "<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds>"
)


def test_rules_are_parsed_stored_and_rendered() -> None:
    rule = CorsRule(("GET", "PUT"), ("http://*.example",), ("x-*", "Range"), ("ETag",), 3000, "one & only")
    rules = CorsRules((rule, CorsRule(("GET",), ("*",))))
    assert parse(document(FULL, GET + ANY)) == rules
    assert parse(document(GET + ANY + "<MaxAgeSeconds>-100</MaxAgeSeconds>")).rules[0].max_age_seconds == -100
    assert parse(render(rules)) == rules
    assert CORS.decode(CORS.encode(rules)) == rules


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (document(), Code.MALFORMED_XML),
        (document(GET), Code.MALFORMED_XML),
        (document(ANY), Code.MALFORMED_XML),
        (document(*([GET + ANY] * 101)), Code.MALFORMED_XML),
        (document(GET + ANY + "<MaxAgeSeconds>soon</MaxAgeSeconds>"), Code.MALFORMED_XML),
        (document(GET + ANY + f"<ID>{'x' * 256}</ID>"), Code.MALFORMED_XML),
        (document(GET + "<AllowedOrigin>a\n b</AllowedOrigin>"), Code.MALFORMED_XML),
        (document("<AllowedMethod>PATCH</AllowedMethod>" + ANY), Code.INVALID_REQUEST),
        (document("<AllowedMethod>get</AllowedMethod>" + ANY), Code.INVALID_REQUEST),
        (document(GET + "<AllowedOrigin>*.*</AllowedOrigin>"), Code.INVALID_REQUEST),
        (document(GET + ANY + "<AllowedHeader>*-*</AllowedHeader>"), Code.INVALID_REQUEST),
        (document(GET + ANY + "<AllowedHeader>a:b</AllowedHeader>"), Code.INVALID_REQUEST),
        (document(GET + ANY + "<ExposeHeader>a b</ExposeHeader>"), Code.INVALID_REQUEST),
        (document("<AllowedMethod></AllowedMethod>" + ANY), Code.INVALID_REQUEST),
        (document(GET + ANY + "<ExposeHeader>x-*</ExposeHeader>"), Code.INVALID_REQUEST),
    ],
)
def test_parse_of_invalid_rules_is_refused(body: bytes, code: Code) -> None:
    with pytest.raises(S3Error) as refused:
        parse(body)
    assert refused.value.code is code
