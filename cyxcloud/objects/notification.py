"""Who is told of which changes of a bucket (pure): the configuration, what it may say, and what it means.

Rules that S3 has: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
No two configurations of a bucket may both get an event of the same key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from urllib.parse import unquote_plus

from cyxcloud.objects.bucket_config import ConfigKey

READER = "notifications"

_FAMILIES = {
    "ObjectCreated": ("Put", "Post", "Copy", "CompleteMultipartUpload"),
    "ObjectRemoved": ("Delete", "DeleteMarkerCreated"),
    "ObjectRestore": ("Post", "Completed", "Delete"),
    "ObjectTagging": ("Put", "Delete"),
    "LifecycleExpiration": ("Delete", "DeleteMarkerCreated"),
    "Replication": (
        "OperationFailedReplication",
        "OperationMissedThreshold",
        "OperationReplicatedAfterThreshold",
        "OperationNotTracked",
    ),
}
_SINGLE = ("ReducedRedundancyLostObject", "LifecycleTransition", "IntelligentTiering", "ObjectAcl:Put")
EVENTS = frozenset(
    [f"s3:{family}:{each}" for family, kinds in _FAMILIES.items() for each in ("*", *kinds)]
    + [f"s3:{each}" for each in _SINGLE]
)
MAX_RULES = 100
MAX_ID_CHARACTERS = 255
MAX_FILTER_BYTES = 1024
_NAME = r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,127})"
WEBHOOK_NAME = re.compile(_NAME).fullmatch
_PLACE = r"arn:[a-z0-9-]+:%s:[a-z0-9-]*:[0-9A-Za-z_-]*:"


class Kind(StrEnum):
    """What a destination is called. All are webhooks here; the words are those that clients were written with."""

    TOPIC = "Topic"
    QUEUE = "Queue"
    FUNCTION = "CloudFunction"


_OURS = re.compile(r"arn:cyxcloud:s3:[a-z0-9-]*:[0-9A-Za-z_-]*:webhook:" + _NAME).fullmatch
_THEIRS = {
    Kind.TOPIC: re.compile(_PLACE % "sns" + _NAME).fullmatch,
    Kind.QUEUE: re.compile(_PLACE % "sqs" + _NAME).fullmatch,
    Kind.FUNCTION: re.compile(_PLACE % "lambda" + f"function:{_NAME}(:[A-Za-z0-9$_-]+)?").fullmatch,
}


class InvalidNotification(Exception):
    """The configuration says what S3 refuses; the text is for who sent it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`prefix` and `suffix` are None where no filter names them. They are written as in the events: URL-encoded."""

    id: str
    kind: Kind
    arn: str
    events: tuple[str, ...]
    prefix: str | None = None
    suffix: str | None = None

    def wants(self, event: str, key: bytes) -> bool:
        """`event` as in a change, without the leading `s3:`."""
        return any(covers(each, f"s3:{event}") for each in self.events) and (
            key.startswith(decoded(self.prefix)) and key.endswith(decoded(self.suffix))
        )

    @property
    def webhook(self) -> str:
        """The name of the one that its ARN names, "" where it can name none."""
        found = _OURS(self.arn) or _THEIRS[self.kind](self.arn)
        return "" if found is None else found["name"]


@dataclass(frozen=True, slots=True)
class NotificationConfig:
    rules: tuple[Rule, ...] = ()


NOTIFICATION = ConfigKey("notification", NotificationConfig)


def covers(pattern: str, event: str) -> bool:
    return pattern == event or (pattern.endswith(":*") and event.startswith(pattern[:-1]))


def decoded(part: str | None) -> bytes:
    return unquote_plus(part).encode() if part else b""


def sealed_as(webhook: str) -> str:
    """The name under which the keyring seals its secret; no access key is called so."""
    return f"webhook:{webhook}"


def check(rules: Sequence[Rule]) -> None:
    """Raises InvalidNotification."""
    if len(rules) > MAX_RULES:
        raise InvalidNotification(f"At most {MAX_RULES} configurations are allowed.")
    if len({rule.id for rule in rules}) < len(rules):
        raise InvalidNotification("Same ID used for multiple configurations. IDs must be unique")
    for rule in rules:
        _check_rule(rule)
    for first, second in combinations(rules, 2):
        if _overlap(first, second):
            raise InvalidNotification(
                "Configurations overlap. Configurations on the same bucket cannot share a common event type."
            )


def unknown(rules: Iterable[Rule], webhooks: frozenset[str]) -> list[str]:
    """ARNs that lead nowhere."""
    return [rule.arn for rule in rules if rule.webhook not in webhooks]


def _check_rule(rule: Rule) -> None:
    if len(rule.id) > MAX_ID_CHARACTERS:
        raise InvalidNotification(f"ID cannot be longer than {MAX_ID_CHARACTERS} characters.")
    if not EVENTS.issuperset(rule.events):
        raise InvalidNotification("A specified event is not supported for notifications.")
    if not rule.webhook:
        raise InvalidNotification("The ARN is not well formed")
    if any(len((part or "").encode()) > MAX_FILTER_BYTES for part in (rule.prefix, rule.suffix)):
        raise InvalidNotification("Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation")


def _overlap(first: Rule, second: Rule) -> bool:
    """A key and an event that both get. Any two such prefixes have a key in common with any two such suffixes."""
    if not any(covers(a, b) or covers(b, a) for a in first.events for b in second.events):
        return False
    prefixes = sorted((decoded(first.prefix), decoded(second.prefix)), key=len)
    suffixes = sorted((decoded(first.suffix), decoded(second.suffix)), key=len)
    return prefixes[1].startswith(prefixes[0]) and suffixes[1].endswith(suffixes[0])
