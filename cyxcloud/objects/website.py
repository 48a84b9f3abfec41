"""A bucket as a website: which key a path means, and where a visitor is sent instead (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from cyxcloud.objects.bucket_config import ConfigKey

DEFAULT_REDIRECT_STATUS = 301
# What may stand for itself in the path of a Location.
_SAFE = "/~!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class Redirect:
    """What is empty stays as it was asked for; the prefix is replaced by `prefix` where that is not None."""

    host: str = ""
    protocol: str = ""
    prefix: str | None = None
    key: str | None = None
    status: int = DEFAULT_REDIRECT_STATUS


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """For keys that begin with `prefix`, and answers with the status `error` unless that is 0."""

    redirect: Redirect
    prefix: str = ""
    error: int = 0


@dataclass(frozen=True, slots=True)
class Website:
    """Either `everything` is redirected, or `index` is what a path that ends in a slash means."""

    index: str = ""
    error: str = ""
    everything: Redirect | None = None
    rules: tuple[RoutingRule, ...] = ()


WEBSITE = ConfigKey("website", Website)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a visitor asked for: `key` as the path has it, without the slash that it begins with; the `query` is for
    where he is sent on to."""

    host: str
    scheme: str
    key: bytes
    query: str = ""


@dataclass(frozen=True, slots=True)
class SentOn:
    status: int
    location: str


def key_of(site: Website, asked: Asked) -> bytes:
    if not asked.key or asked.key.endswith(b"/"):
        return asked.key + site.index.encode()
    return asked.key


def sent_on(site: Website, asked: Asked, error: int = 0) -> SentOn | None:
    """Before anything is read (`error` 0), or once reading ended in an error."""
    if site.everything is not None:
        return _to(site.everything, asked, "")
    key = asked.key
    for rule in site.rules:
        if rule.error == error and key.startswith(rule.prefix.encode()):
            return _to(rule.redirect, asked, rule.prefix)
    return None


def sent_to_folder(asked: Asked) -> SentOn:
    """A path without its last slash, under which there is an index."""
    return SentOn(302, "/" + quote(asked.key + b"/", _SAFE))


def _to(redirect: Redirect, asked: Asked, prefix: str) -> SentOn:
    key = asked.key
    if redirect.key is not None:
        key = redirect.key.encode()
    elif redirect.prefix is not None:
        key = redirect.prefix.encode() + key[len(prefix.encode()) :]
    query = f"?{asked.query}" if asked.query else ""
    location = f"{redirect.protocol or asked.scheme}://{redirect.host or asked.host}/{quote(key, _SAFE)}{query}"
    return SentOn(redirect.status, location)
