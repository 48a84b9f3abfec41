"""The policy of a form: what its signer allows whoever holds it to upload, and until when (pure).

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html

Unknown is denied: a condition that is not understood makes the policy invalid, and a field that no condition names
makes the form refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from s3gw.errors import Code, S3Error
from s3gw.times import parse_iso_time

# Fields that need no condition: they say who signs, or only narrow what is stored.
_FREE = frozenset(("awsaccesskeyid", "signature", "x-amz-signature", "policy", "file"))
_FREE_PREFIXES = ("x-ignore-", "x-amz-checksum-", "x-amz-sdk-checksum-")
_MATCHES = ("eq", "starts-with")
_LENGTH = "content-length-range"
MAX_SIZE = 5 << 30
# A policy may escape a dollar sign and a vertical tab, which JSON does not know.
_ESCAPES = re.compile(r"\\(.)", re.DOTALL)
_OWN_ESCAPES = {"$": "$", "v": "\\u000b"}


@dataclass(frozen=True, slots=True)
class Condition:
    """`kind` is eq or starts-with; `field` in lower case."""

    kind: str
    field: str
    value: str
    text: str

    def allows(self, given: str) -> bool:
        if self.kind == "eq":
            return given == self.value
        if self.field == "content-type" and "," in given:
            return all(each.strip().startswith(self.value) for each in given.split(","))
        return given.startswith(self.value)


@dataclass(frozen=True, slots=True)
class Policy:
    """`least` and `most` are how many bytes the file may have."""

    expires_ms: int
    conditions: tuple[Condition, ...]
    least: int = 0
    most: int = MAX_SIZE


def parse_policy(encoded: str) -> Policy:
    """Raises InvalidPolicyDocument."""
    document = _json(encoded)
    if not isinstance(document, dict):
        _invalid("Invalid JSON.")
    expiration, conditions = document.get("expiration"), document.get("conditions")
    if expiration is None:
        _invalid("Policy missing expiration.")
    if conditions is None:
        _invalid("Policy missing conditions.")
    expires_ms = parse_iso_time(expiration) if isinstance(expiration, str) else None
    if expires_ms is None:
        _invalid(f"Invalid 'expiration' value: '{expiration}'")
    if not isinstance(conditions, list):
        _invalid("Invalid 'conditions' value: must be a List.")
    least, most = 0, MAX_SIZE
    found: list[Condition] = []
    for each in conditions:
        if _is_length(each):
            first, last = _length_range(each)
            least, most = max(least, first), min(most, last)
        else:
            found.append(_condition(each))
    return Policy(expires_ms, tuple(found), least, most)


def check_policy(policy: Policy, fields: Mapping[str, str], now_ms: int) -> None:
    """`fields` by lower-case name, with `bucket`, and as they will be used. Raises AccessDenied."""
    if now_ms >= policy.expires_ms:
        _denied("Policy expired.")
    for condition in policy.conditions:
        if not condition.allows(fields.get(condition.field, "")):
            _denied(f"Policy Condition failed: {condition.text}")
    covered = {condition.field for condition in policy.conditions} | _FREE
    extra = [name for name in fields if name not in covered and not name.startswith(_FREE_PREFIXES)]
    if extra:
        _denied(f"Extra input fields: {', '.join(extra)}")


def _json(encoded: str) -> object:
    try:
        text = base64.b64decode("".join(encoded.split()), validate=True).decode()
        return json.loads(_ESCAPES.sub(_json_escape, text))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _json_escape(match: re.Match[str]) -> str:
    return _OWN_ESCAPES.get(match[1], match[0])


def _is_length(item: object) -> bool:
    return isinstance(item, list) and bool(item) and isinstance(item[0], str) and item[0].lower() == _LENGTH


def _length_range(item: list[object]) -> tuple[int, int]:
    sizes = [_size(each) for each in item[1:]]
    if len(sizes) != 2:
        _invalid(f"Invalid {_LENGTH}: it must have two arguments, the least and the largest size.")
    return sizes[0], sizes[1]


def _size(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        _invalid(f"Invalid {_LENGTH}: a size must be a non-negative integer.")
    return value


def _condition(item: object) -> Condition:
    text = json.dumps(item)
    if isinstance(item, dict):
        if len(item) != 1:
            _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        name, value = next(iter(item.items()))
        if not isinstance(value, str):
            _invalid("Invalid Simple-Condition: value must be a string.")
        shown = json.dumps(["eq", f"${name}", value])
        return Condition("eq", name.lower(), value, shown)
    if not isinstance(item, list):
        _invalid(f"Invalid Condition: {text}")
    if len(item) != 3 or not all(isinstance(each, str) for each in item):
        _invalid(f"Invalid Condition: wrong number or kind of arguments: {text}")
    kind, name, value = item
    if kind.lower() not in _MATCHES:
        _invalid(f"Invalid Condition: unknown operation '{kind}'.")
    if not name.startswith("$"):
        _invalid(f"Invalid Condition: the field must begin with '$': {text}")
    return Condition(kind.lower(), name[1:].lower(), value, text)


def _invalid(problem: str) -> NoReturn:
    raise S3Error(Code.INVALID_POLICY_DOCUMENT, f"Invalid Policy: {problem}")


def _denied(problem: str) -> NoReturn:
    raise S3Error(Code.ACCESS_DENIED, f"Invalid according to Policy: {problem}")
