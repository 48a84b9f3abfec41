"""Who asks (pure). An API key, and later a token or a share link, becomes one of these at the door."""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.core.ids import AccountId
from cyxcloud.objects.policy import NOBODY, Caller, Policy
from cyxcloud.objects.policy_principals import user_name


@dataclass(frozen=True, slots=True)
class Principal:
    """`account` is None for nobody in particular (an unsigned request) and for a `service`, which acts for no account
    of its own. `user` is "" for the account itself, which may do all with what it owns; a user of it may what his and
    his groups' `policies` allow. Each of `bounds`, the policies of a session, must allow whatever is done."""

    account: AccountId | None
    canonical_id: str = ""
    display_name: str = ""
    access_key: str = ""
    service: str = ""
    user: str = ""
    policies: tuple[Policy, ...] = ()
    bounds: tuple[Policy, ...] = ()

    def owns(self, account: AccountId) -> bool:
        """It is that account itself, and no session narrows it."""
        return self.account == account and not self.user and not self.bounds

    @property
    def arn(self) -> str:
        kind = f"user/{self.user}" if self.user else "root"
        return f"arn:aws:iam::{self.canonical_id}:{kind}" if self.account is not None else ""


ANONYMOUS = Principal(None)


def service_principal(name: str) -> Principal:
    """The store itself in one of its roles, e.g. `logging.s3.amazonaws.com`: it may what the target's policy says."""
    return Principal(None, service=name)


def caller_of(principal: Principal) -> Caller:
    """An account is its own only user until it has others, under the same name."""
    if principal.account is None:
        return Caller(service=principal.service) if principal.service else NOBODY
    account = principal.canonical_id
    own = f"user/{principal.user or account}"
    names = {user_name(account, own)}
    if not principal.user:
        names.add(user_name("", own))
    return Caller(frozenset({account}), frozenset(names))
