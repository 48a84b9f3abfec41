"""May this principal do this to that (pure). The only place that decides; unknown is denied.

Whatever denies wins: a Deny of the bucket's policy, of the caller's own or of his session's; a bucket whose rules
cannot be read; then the lack of anything that allows. The bucket's owner is allowed by owning it, a user of his by
policies of either side, another account by the bucket's policy or an ACL, and its users by their own policies besides.
What somebody else stored in a bucket is his, by ACL, and no policy of the bucket gives it away; it can only deny. The
owner's account itself can always read, put and delete the bucket's policy: a mistake in it would close the bucket for
good.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from cyxcloud.core.ids import AccountId
from cyxcloud.objects import acl
from cyxcloud.objects.acl import Grants
from cyxcloud.objects.actions import action_of
from cyxcloud.objects.bucket_rules import NO_RULES, BucketRules
from cyxcloud.objects.policy import Answer, Effect, Policy, Question
from cyxcloud.objects.policy_parse import S3_ARN
from cyxcloud.objects.policy_patterns import Facts, nothing
from cyxcloud.objects.principal import ANONYMOUS, Principal, caller_of
from cyxcloud.objects.rights import Permission, ResourceKind


class Basis(Enum):
    """What allowed it, or that nothing did."""

    OWNER = auto()
    USER_POLICY = auto()
    BUCKET_POLICY = auto()
    ACL = auto()
    DENY = auto()
    NOTHING = auto()


class Step(NamedTuple):
    """One thing that was looked at, and what came of it."""

    rule: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` and `trace` are for the log and for `cyxcloud policy explain`, never for the one who was refused."""

    allowed: bool
    basis: Basis
    reason: str
    trace: tuple[Step, ...] = ()

    @property
    def is_explicit_deny(self) -> bool:
        return self.basis is Basis.DENY


class Resource(NamedTuple):
    """A bucket that is there, or a key in it. `object_account` owns the version that is acted on, where one is there,
    and `object_acl` is its list."""

    bucket: str
    account: AccountId
    key: bytes | None = None
    object_account: AccountId | None = None
    object_acl: Grants | None = None

    @property
    def arn(self) -> str:
        return f"{S3_ARN}{self.bucket}" if self.key is None else f"{S3_ARN}{self.bucket}/{self.key.decode()}"


_P = Permission
# What an account does without there being a bucket yet.
_OWN_STORE = frozenset({_P.LIST_ALL_MY_BUCKETS, _P.CREATE_BUCKET})
_REPAIR = frozenset({_P.GET_BUCKET_POLICY, _P.PUT_BUCKET_POLICY, _P.DELETE_BUCKET_POLICY})

ALLOWED_OWNER = Decision(True, Basis.OWNER, "the account owns the bucket")
ALLOWED_ACCOUNT = Decision(True, Basis.OWNER, "an account may do this for itself")
ALLOWED_NOBODY = Decision(True, Basis.OWNER, "nobody has no buckets, and may see as much")
DENIED_ANONYMOUS = Decision(False, Basis.NOTHING, "an unsigned request, and nothing is public")
DENIED_FOREIGN = Decision(False, Basis.NOTHING, "the bucket belongs to another account and nothing grants access")
DENIED_FOREIGN_OBJECT = Decision(False, Basis.NOTHING, "the object belongs to another account than the bucket")
DENIED_USER = Decision(False, Basis.NOTHING, "no policy of the user or of the bucket allows it")
DENIED_UNKNOWN = Decision(False, Basis.NOTHING, "no rule covers this permission without a bucket")


def authorize(
    principal: Principal,
    permission: Permission,
    resource: Resource | None,
    rules: BucketRules = NO_RULES,
    facts: Facts = nothing,
) -> Decision:
    """`resource` is None where the operation names no bucket, or one that is yet to be made."""
    if (
        resource is not None
        and not rules.binds_owner
        and principal.owns(resource.account)
        and resource.object_account in (None, resource.account)
    ):
        return ALLOWED_OWNER
    return explain(principal, permission, resource, rules, facts)


def explain(
    principal: Principal,
    permission: Permission,
    resource: Resource | None,
    rules: BucketRules = NO_RULES,
    facts: Facts = nothing,
) -> Decision:
    """As `authorize`, with each step that led there."""
    weighing = _Weighing(principal, permission, resource, rules, facts)
    decision = weighing.denial() or weighing.bounded(weighing.grant())
    return Decision(decision.allowed, decision.basis, decision.reason, tuple(weighing.steps))


class _Weighing:
    """One question, asked of everything that has a say in it."""

    def __init__(
        self,
        principal: Principal,
        permission: Permission,
        resource: Resource | None,
        rules: BucketRules,
        facts: Facts,
    ) -> None:
        self.steps: list[Step] = []
        self._principal, self._permission, self._resource, self._rules = principal, permission, resource, rules
        arn = f"{S3_ARN}*" if resource is None else resource.arn
        question = Question(caller_of(principal), action_of(permission), arn, facts)
        self._bounds = [self._ask("session policy", policy, question) for policy in principal.bounds]
        self._own = [self._ask("user policy", policy, question) for policy in principal.policies]
        self._bucket = self._ask("bucket policy", rules.policy, question)

    def _ask(self, rule: str, policy: Policy | None, question: Question) -> Answer:
        if policy is None:
            return Answer(None)
        answer = policy.answer(question)
        said = "says nothing" if answer.effect is None else answer.effect.value
        self.steps.append(Step(rule, said if answer.statement is None else f"{said} ({answer.statement.label})"))
        return answer

    @property
    def _owns(self) -> bool:
        """The caller is of the account that owns the bucket (or what is yet to be made)."""
        resource, account = self._resource, self._principal.account
        return account is not None and (resource is None or account == resource.account)

    @property
    def _repairs(self) -> bool:
        return self._permission in _REPAIR and self._owns and not self._principal.user and not self._bounds

    def denial(self) -> Decision | None:
        for rule, answers in (("session", self._bounds), ("user", self._own)):
            if any(each.effect is Effect.DENY for each in answers):
                return Decision(False, Basis.DENY, f"a policy of the {rule} denies it")
        if self._repairs:
            self.steps.append(Step("owner", "the account can always repair its bucket's policy"))
            return None
        if self._rules.unreadable:
            self.steps.append(Step("bucket rules", f"unreadable: {self._rules.unreadable}"))
            return Decision(False, Basis.DENY, "the bucket's rules cannot be read")
        if self._bucket.effect is Effect.DENY:
            return Decision(False, Basis.DENY, "the bucket's policy denies it")
        return None

    def grant(self) -> Decision:
        if self._resource is None and self._permission not in _OWN_STORE:
            return DENIED_UNKNOWN
        granted = self._by_ownership() or self._by_policy() or self._by_acl()
        if granted is not None:
            return granted
        if self._is_foreign_object:
            return DENIED_FOREIGN_OBJECT
        if self._principal.account is None:
            return DENIED_ANONYMOUS
        return DENIED_USER if self._owns else DENIED_FOREIGN

    def bounded(self, decision: Decision) -> Decision:
        if decision.allowed and any(each.effect is not Effect.ALLOW for each in self._bounds):
            return Decision(False, Basis.NOTHING, "a policy of the session does not allow it")
        return decision

    @property
    def _is_foreign_object(self) -> bool:
        """The right is one on an object, which somebody else stored in this bucket and still owns."""
        resource, need = self._resource, acl.need_of(self._permission)
        if resource is None or self._rules.acls_disabled or need is None or need.on is not ResourceKind.OBJECT:
            return False
        return resource.object_account not in (None, resource.account)

    @property
    def _user_may(self) -> bool:
        """The caller's own side: an account may ask for anything, its user for what his policies allow."""
        return not self._principal.user or any(each.effect is Effect.ALLOW for each in self._own)

    def _by_ownership(self) -> Decision | None:
        if self._resource is None and self._permission is _P.LIST_ALL_MY_BUCKETS and self._principal == ANONYMOUS:
            return ALLOWED_NOBODY
        if not self._owns or self._is_foreign_object:
            return None
        self.steps.append(Step("owner", "the caller is of the bucket owner's account"))
        if self._principal.user:
            return Decision(True, Basis.USER_POLICY, "a policy of the user allows it") if self._user_may else None
        return ALLOWED_ACCOUNT if self._resource is None else ALLOWED_OWNER

    def _by_policy(self) -> Decision | None:
        if self._bucket.effect is not Effect.ALLOW:
            return None
        if self._is_foreign_object:
            self.steps.append(Step("object owner", "the bucket's policy cannot give away another's object"))
            return None
        is_inside = self._owns or bool(self._principal.service)
        if self._rules.block.restrict_public_buckets and self._rules.policy_is_public and not is_inside:
            self.steps.append(Step("public access block", "a public policy allows nobody outside the account"))
            return None
        if not self._owns and not self._user_may:
            return None
        return Decision(True, Basis.BUCKET_POLICY, "the bucket's policy allows it")

    def _by_acl(self) -> Decision | None:
        resource, need = self._resource, acl.need_of(self._permission)
        if resource is None or need is None or not self._user_may:
            return None
        if self._rules.acls_disabled:
            self.steps.append(Step("ACL", "disabled by the bucket's ownership controls"))
            return None
        on_object = need.on is ResourceKind.OBJECT
        if on_object and resource.object_account is None:
            return None
        grants = resource.object_acl if on_object else self._rules.acl
        owner = resource.account
        if on_object and resource.object_account is not None:
            owner = resource.object_account
        if self._rules.block.ignore_public_acls:
            grants = acl.without_public(grants)
        allowed = acl.allows(grants, owner, self._principal, need.permission)
        name = "object ACL" if on_object else "bucket ACL"
        self.steps.append(Step(name, f"{need.permission} {'granted' if allowed else 'not granted'}"))
        return Decision(True, Basis.ACL, f"the {name} grants it") if allowed else None
