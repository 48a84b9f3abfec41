"""Policies from their JSON, strictly: what is not understood is refused, since half a policy is another one (pure).

Texts of errors are Amazon's where they are known, as clients show them.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

from cyxcloud.objects.actions import ACTIONS, resource_kind_of
from cyxcloud.objects.policy import Effect, Policy, Principals, Statement
from cyxcloud.objects.policy_conditions import Test, compile_test
from cyxcloud.objects.policy_keys import known_key
from cyxcloud.objects.policy_patterns import BadVariable, Choice, Pattern, nothing
from cyxcloud.objects.policy_principals import InvalidPrincipal, parse_principals
from cyxcloud.objects.rights import ResourceKind

# What S3 takes of a bucket's policy.
MAX_POLICY_BYTES = 20 * 1024
S3_ARN = "arn:aws:s3:::"

_WITH_VARIABLES = "2012-10-17"
_VERSIONS = (_WITH_VARIABLES, "2008-10-17")
_POLICY_FIELDS = frozenset(("Version", "Id", "Statement"))
_STATEMENT_FIELDS = frozenset(
    (
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    )
)
NOT_JSON = "Policies must be valid JSON and the first byte must be '{'"

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


class MalformedPolicy(Exception):
    """A text that is no policy, or not one for this bucket."""


def parse_bucket_policy(text: bytes, bucket: str) -> Policy:
    """Raises MalformedPolicy."""
    return _parse(text, bucket)


def parse_identity_policy(text: bytes) -> Policy:
    """Of a user, a group or a session: it names no principal. Raises MalformedPolicy."""
    return _parse(text, None)


def _parse(text: bytes, bucket: str | None) -> Policy:
    if len(text) > MAX_POLICY_BYTES:
        raise MalformedPolicy("Policy exceeds the maximum allowed document size.")
    document = _read(text)
    _no_others(document, _POLICY_FIELDS)
    version = document.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        raise MalformedPolicy("The policy must contain a valid version string")
    if not isinstance(document.get("Id", ""), str):
        raise MalformedPolicy("Invalid policy syntax.")
    statements = document.get("Statement")
    if statements is None:
        raise MalformedPolicy("Missing required field Statement")
    found = statements if isinstance(statements, list) else [statements]
    if not found:
        raise MalformedPolicy("Could not parse the policy: Statement is empty!")
    reader = _Reader(bucket, variables=version == _WITH_VARIABLES)
    return Policy(tuple([reader.statement(each, number) for number, each in enumerate(found, 1)]))


def _read(text: bytes) -> dict[str, Json]:
    if text[:1] != b"{":
        raise MalformedPolicy(NOT_JSON)
    try:
        document = json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise MalformedPolicy(NOT_JSON) from None
    return cast("dict[str, Json]", document)


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Of two members of one name nobody can say which is meant."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedPolicy("Invalid policy syntax.")
    return found


def _refuse(constant: str) -> Json:
    raise ValueError(constant)


def _no_others(document: dict[str, Json], known: frozenset[str]) -> None:
    for name in document:
        if name not in known:
            raise MalformedPolicy(f"Unknown field {name}")


class _Reader:
    """`bucket` is None for a policy that is no bucket's."""

    def __init__(self, bucket: str | None, *, variables: bool) -> None:
        self._bucket, self._variables = bucket, variables

    def statement(self, document: Json, number: int) -> Statement:
        if not isinstance(document, dict):
            raise MalformedPolicy("Invalid policy syntax.")
        _no_others(document, _STATEMENT_FIELDS)
        sid = document.get("Sid", "")
        if not isinstance(sid, str):
            raise MalformedPolicy("Invalid policy syntax.")
        effect = _effect(document)
        principals, not_principals = self._principals(document)
        if not_principals and effect is Effect.ALLOW:
            raise MalformedPolicy("Allow with NotPrincipal is not allowed.")
        actions, not_actions = self._actions(document)
        resources, not_resources = self._resources(document)
        if self._bucket is not None and not (not_actions or not_resources):
            _check_applies(actions, resources)
        tests = self._tests(document.get("Condition", {}))
        return Statement(
            sid or f"statement {number}",
            effect,
            principals,
            not_principals,
            actions,
            not_actions,
            resources,
            not_resources,
            tests,
        )

    def _principals(self, document: dict[str, Json]) -> tuple[Principals | None, bool]:
        if self._bucket is None:
            if "Principal" in document or "NotPrincipal" in document:
                raise MalformedPolicy("Policy document should not specify a principal.")
            return None, False
        value, negated = _either(document, "Principal")
        try:
            return parse_principals(value), negated
        except InvalidPrincipal:
            raise MalformedPolicy("Invalid principal in policy") from None

    def _actions(self, document: dict[str, Json]) -> tuple[Choice, bool]:
        value, negated = _either(document, "Action")
        patterns = [Pattern(text.lower(), variables=False) for text in _texts(value)]
        if self._bucket is not None and not all(map(_names_action, patterns)):
            raise MalformedPolicy("Policy has invalid action")
        return Choice(patterns), negated

    def _resources(self, document: dict[str, Json]) -> tuple[Choice, bool]:
        value, negated = _either(document, "Resource")
        return Choice([self._resource(text) for text in _texts(value)]), negated

    def _resource(self, text: str) -> Pattern:
        try:
            if self._bucket is not None and not _names_bucket(text, self._bucket):
                raise MalformedPolicy("Policy has invalid resource")
            return Pattern(text, variables=self._variables)
        except BadVariable:
            raise MalformedPolicy("Policy has invalid resource") from None

    def _tests(self, document: Json) -> tuple[Test, ...]:
        if not isinstance(document, dict):
            raise MalformedPolicy("Invalid policy syntax.")
        tests: list[Test] = []
        for operator, keys in document.items():
            if not isinstance(keys, dict):
                raise MalformedPolicy("Invalid policy syntax.")
            tests += [self._test(operator, key, values) for key, values in keys.items()]
        return tuple(tests)

    def _test(self, operator: str, name: str, values: Json) -> Test:
        key = known_key(name)
        if key is None:
            raise MalformedPolicy("Policy has an invalid condition key")
        try:
            return compile_test(operator, key, tuple(_values(values)), variables=self._variables)
        except ValueError as error:
            raise MalformedPolicy(str(error)) from None


def _names_action(pattern: Pattern) -> bool:
    if pattern.fixed is not None:
        return pattern.fixed in ACTIONS
    return any(pattern.matches(action, nothing) for action in ACTIONS)


def _effect(document: dict[str, Json]) -> Effect:
    if "Effect" not in document:
        raise MalformedPolicy("Missing required field Effect")
    try:
        return Effect(document["Effect"])
    except ValueError:
        raise MalformedPolicy(f"Invalid effect: {document['Effect']}") from None


def _either(document: dict[str, Json], name: str) -> tuple[Json, bool]:
    """The value of `name` or of its negation, exactly one of which must be there."""
    given = [each for each in (name, f"Not{name}") if each in document]
    if not given:
        raise MalformedPolicy(f"Missing required field {name}")
    if len(given) > 1:
        raise MalformedPolicy("Invalid policy syntax.")
    return document[given[0]], given[0] != name


def _texts(value: Json) -> Iterable[str]:
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(each, str) for each in found):
        raise MalformedPolicy("Invalid policy syntax.")
    return cast("list[str]", found)


def _values(value: Json) -> Iterable[str]:
    """Numbers and booleans may stand without quotes."""
    found = value if isinstance(value, list) else [value]
    if not found:
        raise MalformedPolicy("Invalid policy syntax.")
    for each in found:
        if isinstance(each, bool):
            yield "true" if each else "false"
        elif isinstance(each, str | int | float):
            yield str(each)
        else:
            raise MalformedPolicy("Invalid policy syntax.")


def _names_bucket(text: str, bucket: str) -> bool:
    """Whether the ARN stands for something of this bucket: its name, or a pattern for it, before the first slash."""
    if not text.startswith(S3_ARN):
        return False
    path = text.removeprefix(S3_ARN)
    name = path.partition("/")[0]
    return bool(path) and (Pattern(name, variables=False).matches(bucket, nothing) or _crosses(path, bucket))


def _crosses(path: str, bucket: str) -> bool:
    """A star may reach over the slash: `arn:aws:s3:::a*z/key`."""
    star = path.partition("/")[0].partition("*")
    return bool(star[1]) and Pattern(star[0] + "*", variables=False).matches(bucket, nothing)


def _check_applies(actions: Choice, resources: Choice) -> None:
    """Each action must be one on a bucket or on an object, as some resource of its statement is."""
    paths = [each.text.removeprefix(S3_ARN) for each in resources.patterns]
    kinds = {ResourceKind.OBJECT for path in paths if "/" in path or "*" in path}
    kinds |= {ResourceKind.BUCKET for path in paths if "/" not in path or "*" in path.partition("/")[0]}
    for action in actions.patterns:
        if action.fixed is not None and resource_kind_of(action.fixed) not in kinds:
            raise MalformedPolicy("Action does not apply to any resource(s) in statement")
