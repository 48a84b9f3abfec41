"""CORSConfiguration: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CORSConfiguration.html"""

from __future__ import annotations

from cyxcloud.objects.cors import METHODS, CorsRule, CorsRules
from s3gw import xml
from s3gw.errors import Code, S3Error
from s3gw.parameters import is_token
from s3gw.xml_reader import TEXT, Many, Struct, Value, items, malformed, number_of, read, text_of, texts_of

MAX_BYTES = 64 << 10
MAX_RULES = 100
MAX_ID_CHARACTERS = 255
MAX_VALUES = 1000

_VALUES = Many(TEXT, MAX_VALUES)
_RULE = Struct(
    {
        "ID": TEXT,
        "AllowedHeader": _VALUES,
        "AllowedMethod": _VALUES,
        "AllowedOrigin": _VALUES,
        "ExposeHeader": _VALUES,
        "MaxAgeSeconds": TEXT,
    }
)
_CORS = Struct({"CORSRule": Many(_RULE, MAX_RULES)})


def parse(document: bytes) -> CorsRules:
    """Raises MalformedXML, InvalidRequest."""
    rules = [_rule(item) for item in items(read(document, "CORSConfiguration", _CORS, MAX_BYTES), "CORSRule")]
    if not rules:
        raise malformed()
    return CorsRules(tuple(rules))


def _rule(item: dict[str, Value]) -> CorsRule:
    methods, origins = texts_of(item, "AllowedMethod"), texts_of(item, "AllowedOrigin")
    name, age = text_of(item, "ID") or "", text_of(item, "MaxAgeSeconds")
    if not methods or not origins or len(name) > MAX_ID_CHARACTERS:
        raise malformed()
    headers, exposed = texts_of(item, "AllowedHeader"), texts_of(item, "ExposeHeader")
    _check(methods, origins, headers, exposed)
    if not all(value.isprintable() for value in origins):
        raise malformed()
    return CorsRule(methods, origins, headers, exposed, None if age is None else _age(age), name)


def _check(
    methods: tuple[str, ...], origins: tuple[str, ...], headers: tuple[str, ...], exposed: tuple[str, ...]
) -> None:
    for method in methods:
        if method not in METHODS:
            raise _invalid(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    for element, values in (("AllowedOrigin", origins), ("AllowedHeader", headers)):
        for value in values:
            if value.count("*") > 1:
                raise _invalid(f'{element} "{value}" can not have more than one wildcard.')
    for value in (*headers, *exposed):
        if value and not is_token(value):
            raise _invalid(f'AllowedHeader "{value}" contains invalid character.')
    for value in exposed:
        if "*" in value:
            raise _invalid(
                f'ExposeHeader "{value}" contains wildcard. We currently do not support wildcard for ExposeHeader.'
            )


def _age(text: str) -> int:
    """A negative age is taken, and given back, as it is."""
    negative = text.strip().startswith("-")
    seconds = number_of(text.strip().removeprefix("-"))
    return -seconds if negative else seconds


def render(rules: CorsRules) -> bytes:
    return xml.document("CORSConfiguration", "".join([_rendered(rule) for rule in rules.rules]))


def _rendered(rule: CorsRule) -> str:
    lists = (
        ("AllowedHeader", rule.headers),
        ("AllowedMethod", rule.methods),
        ("AllowedOrigin", rule.origins),
        ("ExposeHeader", rule.exposed),
    )
    values = "".join([f"<{name}>{xml.escape(each)}</{name}>" for name, listed in lists for each in listed])
    age = "" if rule.max_age_seconds is None else f"<MaxAgeSeconds>{rule.max_age_seconds}</MaxAgeSeconds>"
    return f"<CORSRule>{xml.optional('ID', xml.escape(rule.id))}{values}{age}</CORSRule>"


def _invalid(message: str) -> S3Error:
    return S3Error(Code.INVALID_REQUEST, message)
