"""Whom a statement of a bucket's policy is about (pure).

An account stands in a policy by its canonical id, which is this store's account id too: as it is, or as
`arn:aws:iam::ID:root`; its user as `arn:aws:iam::ID:user/NAME`. An ARN may name an account that is not here: it then
stands for nobody.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

import re

from cyxcloud.objects.policy import ANYBODY, Principals

_ARN = re.compile(
    r"arn:aws[a-z-]*:(?:iam|sts)::([^:/*?\s]*):(root|(?:user|role|assumed-role|federated-user)/[^*?\s]+)"
).fullmatch
_PLAIN = re.compile(r"[^:/*?\s\"]{1,128}").fullmatch
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.[a-z]+").fullmatch
_KINDS = frozenset(("AWS", "CanonicalUser", "Service", "Federated"))


class InvalidPrincipal(ValueError):
    pass


def parse_principals(value: object) -> Principals:
    """Of the JSON of a Principal element. Raises InvalidPrincipal."""
    if value == ANYBODY:
        return Principals(everyone=True)
    if not isinstance(value, dict) or not value or not value.keys() <= _KINDS:
        raise InvalidPrincipal(str(value))
    names = _texts(value.get("AWS", []))
    plain = frozenset([*_texts(value.get("CanonicalUser", [])), *(each for each in names if ":" not in each)])
    plain -= {ANYBODY}
    services = frozenset(_texts(value.get("Service", [])))
    # Nobody is known here by another's identity provider, so a Federated principal is one that never asks.
    federated = _texts(value.get("Federated", []))
    if not (names or plain or services or federated):
        raise InvalidPrincipal(str(value))
    if not all(map(_SERVICE, services)) or not all(map(_PLAIN, plain)):
        raise InvalidPrincipal(str(value))
    arns = [_named(each) for each in names if ":" in each]
    return Principals(
        anybody=ANYBODY in names,
        accounts=plain | {account for account, user in arns if not user},
        users=frozenset(user_name(account, user) for account, user in arns if user),
        services=services,
        plain=plain,
    )


def user_name(account: str, user: str) -> str:
    """How `Caller.users` and `Principals.users` write a user, who is `user/NAME` or `role/NAME` in his ARN."""
    return f"{account}:{user}"


def _texts(value: object) -> list[str]:
    found = value if isinstance(value, list) else [value]
    texts = [each for each in found if isinstance(each, str) and each]
    if len(texts) != len(found):
        raise InvalidPrincipal(str(value))
    return texts


def _named(arn: str) -> tuple[str, str]:
    match = _ARN(arn)
    if match is None or (match[2] == "root" and not match[1]):
        raise InvalidPrincipal(arn)
    return match[1], "" if match[2] == "root" else match[2]
