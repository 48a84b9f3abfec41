"""Cross-origin requests: what a bucket lets the scripts of other sites do (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html: the first rule counts whose origin, method and, for a
preflight, headers all match.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from cyxcloud.objects.bucket_config import ConfigKey

METHODS = frozenset(("GET", "PUT", "POST", "DELETE", "HEAD"))


@dataclass(frozen=True, slots=True)
class CorsRule:
    """Origins and headers may hold one `*` each, for any text."""

    methods: tuple[str, ...]
    origins: tuple[str, ...]
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age_seconds: int | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class CorsRules:
    rules: tuple[CorsRule, ...] = field(default=())


CORS = ConfigKey("cors", CorsRules)


@dataclass(frozen=True, slots=True)
class Shared:
    """What a script at `origin` may do; any origin is "*"."""

    origin: str
    rule: CorsRule


def match(rules: CorsRules, origin: str, method: str, headers: Collection[str] = ()) -> Shared | None:
    """`headers` are those that a preflight asks for."""
    for rule in rules.rules:
        pattern = next((each for each in rule.origins if _fits(each, origin)), None)
        if pattern is None or method not in rule.methods:
            continue
        if all(any(_fits(each.lower(), name.lower()) for each in rule.headers) for name in headers):
            return Shared("*" if "*" in rule.origins else origin, rule)
    return None


def _fits(pattern: str, text: str) -> bool:
    start, star, end = pattern.partition("*")
    if not star:
        return pattern == text
    return len(text) >= len(start) + len(end) and text.startswith(start) and text.endswith(end)
