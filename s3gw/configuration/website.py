"""WebsiteConfiguration: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketWebsite.html"""

from __future__ import annotations

import re
from typing import cast

from cyxcloud.objects.website import DEFAULT_REDIRECT_STATUS, Redirect, RoutingRule, Website
from s3gw import xml
from s3gw.errors import Code, S3Error
from s3gw.xml_reader import TEXT, Many, Struct, Value, items, malformed, number_of, read, text_of

MAX_BYTES = 128 << 10
MAX_RULES = 50

_REDIRECTS = frozenset((301, 302, 303, 304, 305, 307, 308))
_ERRORS = frozenset((*range(400, 418), *range(500, 506)))
# More than one too many are not read to their end.
_READ_RULES = 2 * MAX_RULES
_ROOT = "WebsiteConfiguration"
_REDIRECT = Struct(
    dict.fromkeys(("HostName", "HttpRedirectCode", "Protocol", "ReplaceKeyPrefixWith", "ReplaceKeyWith"), TEXT)
)
_CONDITION = Struct({"HttpErrorCodeReturnedEquals": TEXT, "KeyPrefixEquals": TEXT})
_SHAPE = Struct(
    {
        "RedirectAllRequestsTo": Struct({"HostName": TEXT, "Protocol": TEXT}),
        "IndexDocument": Struct({"Suffix": TEXT}),
        "ErrorDocument": Struct({"Key": TEXT}),
        # More than are allowed, so that too many are refused in S3's words.
        "RoutingRules": Struct(
            {"RoutingRule": Many(Struct({"Condition": _CONDITION, "Redirect": _REDIRECT}), _READ_RULES)}
        ),
    }
)
# Of what is written into a Location header.
_HOST = re.compile(r"[!-.0-~]{1,255}", re.ASCII).fullmatch


def parse(document: bytes) -> Website:
    """Raises MalformedXML, InvalidArgument, InvalidRequest."""
    found = read(document, _ROOT, _SHAPE, MAX_BYTES)
    everything = _struct(found, "RedirectAllRequestsTo")
    if everything is not None:
        if len(found) > 1:
            raise malformed()
        return Website(everything=Redirect(_host(everything, is_needed=True), _protocol(everything)))
    index = _index(_struct(found, "IndexDocument"))
    listed = items(_struct(found, "RoutingRules") or {}, "RoutingRule")
    if "RoutingRules" in found and not listed:
        raise malformed()
    if len(listed) > MAX_RULES:
        raise _invalid(
            f"{len(listed)} routing rules provided, the number of routing rules in a website configuration is limited "
            f"to {MAX_RULES}."
        )
    return Website(index, _error(_struct(found, "ErrorDocument")), None, tuple([_rule(item) for item in listed]))


def _index(found: dict[str, Value] | None) -> str:
    if found is None:
        raise _argument("A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty", "null")
    suffix = text_of(found, "Suffix") or ""
    if not suffix or "/" in suffix:
        raise _argument("The IndexDocument Suffix is not well formed", suffix)
    return suffix


def _error(found: dict[str, Value] | None) -> str:
    if found is None:
        return ""
    key = text_of(found, "Key")
    if not key:
        raise _argument("The ErrorDocument Key is not well formed", "", "ErrorDocument")
    return key


def _rule(item: dict[str, Value]) -> RoutingRule:
    redirect, condition = _struct(item, "Redirect"), _struct(item, "Condition")
    if not redirect:
        raise malformed()
    key, prefix = text_of(redirect, "ReplaceKeyWith"), text_of(redirect, "ReplaceKeyPrefixWith")
    if key is not None and prefix is not None:
        raise _invalid("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    to = Redirect(_host(redirect), _protocol(redirect), prefix, key, _redirect_status(redirect))
    if condition is None:
        return RoutingRule(to)
    if not condition:
        raise malformed()
    return RoutingRule(to, text_of(condition, "KeyPrefixEquals") or "", _error_status(condition))


def _host(found: dict[str, Value], *, is_needed: bool = False) -> str:
    host = text_of(found, "HostName") or ""
    if (is_needed and not host) or (host and not _HOST(host)):
        raise malformed()
    return host


def _protocol(found: dict[str, Value]) -> str:
    protocol = (text_of(found, "Protocol") or "").lower()
    if protocol not in ("", "http", "https"):
        raise _invalid(
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected "
            "automatically."
        )
    return protocol


def _redirect_status(found: dict[str, Value]) -> int:
    text = text_of(found, "HttpRedirectCode")
    if text is None:
        return DEFAULT_REDIRECT_STATUS
    if number_of(text) not in _REDIRECTS:
        raise _invalid(
            f"The provided HTTP redirect code ({text}) is not valid. Valid codes are 3XX except 300.",
        )
    return int(text)


def _error_status(found: dict[str, Value]) -> int:
    text = text_of(found, "HttpErrorCodeReturnedEquals")
    if text is None:
        return 0
    if number_of(text) not in _ERRORS:
        raise _invalid(f"The provided HTTP error code ({text}) is not valid. Valid codes are 4XX or 5XX.")
    return int(text)


def _struct(found: dict[str, Value], name: str) -> dict[str, Value] | None:
    return cast("dict[str, Value] | None", found.get(name))


def render(site: Website) -> bytes:
    if site.everything is not None:
        to = f"<HostName>{xml.escape(site.everything.host)}</HostName>{_optional('Protocol', site.everything.protocol)}"
        return xml.document(_ROOT, f"<RedirectAllRequestsTo>{to}</RedirectAllRequestsTo>")
    body = f"<IndexDocument><Suffix>{xml.escape(site.index)}</Suffix></IndexDocument>"
    if site.error:
        body += f"<ErrorDocument><Key>{xml.escape(site.error)}</Key></ErrorDocument>"
    if site.rules:
        body += f"<RoutingRules>{''.join([_rendered(rule) for rule in site.rules])}</RoutingRules>"
    return xml.document(_ROOT, body)


def _rendered(rule: RoutingRule) -> str:
    condition = _optional("HttpErrorCodeReturnedEquals", str(rule.error or ""))
    condition += _optional("KeyPrefixEquals", rule.prefix)
    to = rule.redirect
    redirect = _optional("HostName", to.host) + f"<HttpRedirectCode>{to.status}</HttpRedirectCode>"
    redirect += _optional("Protocol", to.protocol)
    if to.prefix is not None:
        redirect += f"<ReplaceKeyPrefixWith>{xml.escape(to.prefix)}</ReplaceKeyPrefixWith>"
    if to.key is not None:
        redirect += f"<ReplaceKeyWith>{xml.escape(to.key)}</ReplaceKeyWith>"
    return (
        f"<RoutingRule>{_optional('Condition', condition, is_text=False)}<Redirect>{redirect}</Redirect></RoutingRule>"
    )


def _optional(name: str, value: str, *, is_text: bool = True) -> str:
    return xml.optional(name, xml.escape(value) if is_text else value)


def _invalid(message: str) -> S3Error:
    return S3Error(Code.INVALID_REQUEST, message)


def _argument(message: str, value: str, name: str = "IndexDocument") -> S3Error:
    return S3Error(Code.INVALID_ARGUMENT, message, argument_name=name, argument_value=value)
