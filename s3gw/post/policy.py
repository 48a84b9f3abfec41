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
from typing import NoReturn, TypeGuard

from s3gw.errors import Code, S3Error
from s3gw.times import parse_iso_time

# Fields that need no condition: they say who signs, or only narrow what is stored.
_FREE = frozenset(("awsaccesskeyid", "signature", "x-amz-signature", "policy", "file"))
_FREE_PREFIXES = ("x-ignore-", "x-amz-checksum-", "x-amz-sdk-checksum-")
_MATCHES = ("eq", "starts-with")
_LENGTH = "content-length-range"
_NO_JSON = "Invalid JSON."
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
    document = _document(encoded)
    for name in document:
        if name not in ("expiration", "conditions"):
            raise _invalid(f'Unexpected: "{name}"')
    if "expiration" not in document:
        raise _invalid("Policy missing expiration.")
    expiration = document["expiration"]
    if not isinstance(expiration, str):
        raise _invalid(_NO_JSON)
    expires_ms = parse_iso_time(expiration)
    if expires_ms is None:
        raise _invalid(f"Invalid 'expiration' value: '{expiration}'")
    if "conditions" not in document:
        raise _invalid("Policy missing conditions.")
    conditions = document["conditions"]
    if not isinstance(conditions, list):
        raise _invalid("Invalid 'conditions' value: must be a List.")
    return _policy(expires_ms, conditions)


def _policy(expires_ms: int, conditions: list[object]) -> Policy:
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
        if not condition.field or not condition.allows(fields.get(condition.field, "")):
            _denied(f"Policy Condition failed: {condition.text}")
    covered = {condition.field for condition in policy.conditions} | _FREE
    extra = [name for name in fields if name not in covered and not name.startswith(_FREE_PREFIXES)]
    if extra:
        _denied(f"Extra input fields: {', '.join(extra)}")


def _document(encoded: str) -> dict[str, object]:
    try:
        text = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("invalid Base64 encoding.") from None
    if not text:
        raise _invalid("Expecting '{' but found End-of-Input")
    try:
        document = json.loads(_ESCAPES.sub(_json_escape, text.decode()))
    except (ValueError, RecursionError):
        raise _invalid(_NO_JSON) from None
    if not isinstance(document, dict):
        raise _invalid(_NO_JSON)
    return document


def _json_escape(match: re.Match[str]) -> str:
    return _OWN_ESCAPES.get(match[1], match[0])


def _is_length(item: object) -> TypeGuard[list[object]]:
    return isinstance(item, list) and bool(item) and isinstance(item[0], str) and item[0].lower() == _LENGTH


def _length_range(item: list[object]) -> tuple[int, int]:
    sizes = [_size(each) for each in item[1:]]
    if len(sizes) != 2:
        raise _invalid(f"Invalid {_LENGTH}: wrong number of arguments.")
    return sizes[0], sizes[1]


def _size(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _invalid(_NO_JSON)
    return value


def _condition(item: object) -> Condition:
    if isinstance(item, dict):
        return _simple_condition(item)
    if not isinstance(item, list):
        raise _invalid("Invalid condition test: must be a List or Object.")
    if not item:
        raise _invalid("Invalid Condition: missing operation identifier.")
    if not all(isinstance(each, str) for each in item):
        raise _invalid(_NO_JSON)
    kind = item[0]
    if kind.lower() not in _MATCHES:
        raise _invalid(f"Invalid Condition: unknown operation '{kind}'.")
    if len(item) != 3:
        raise _invalid(f"Invalid {kind}: wrong number of arguments.")
    # A name without its dollar sign names nothing, so that nothing meets the condition.
    name = item[1][1:].lower() if item[1].startswith("$") else ""
    return Condition(kind.lower(), name, item[2], json.dumps(item, separators=(",", ":")))


def _simple_condition(item: dict[str, object]) -> Condition:
    if len(item) != 1:
        raise _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
    name, value = next(iter(item.items()))
    if not isinstance(value, str):
        raise _invalid("Invalid Simple-Condition: value must be a string.")
    return Condition("eq", name.lower(), value, json.dumps(["eq", f"${name}", value]))


def _invalid(problem: str) -> S3Error:
    return S3Error(Code.INVALID_POLICY_DOCUMENT, f"Invalid Policy: {problem}")


def _denied(problem: str) -> NoReturn:
    raise S3Error(Code.ACCESS_DENIED, f"Invalid according to Policy: {problem}")
