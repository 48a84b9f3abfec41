"""The one authoriser: who owns, what denies, what gives, and that nothing else does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import AccountId
from cyxcloud.objects import acl
from cyxcloud.objects.access_block import PublicAccessBlock
from cyxcloud.objects.acl import Grant
from cyxcloud.objects.authorize import Basis, Decision, Resource, Step, authorize, explain
from cyxcloud.objects.bucket_rules import NO_RULES, BucketRules
from cyxcloud.objects.policy_parse import parse_bucket_policy, parse_identity_policy
from cyxcloud.objects.policy_status import is_public
from cyxcloud.objects.principal import ANONYMOUS, Principal, service_principal
from cyxcloud.objects.rights import Permission

OWNER, OTHER = AccountId(1), AccountId(2)
MAIN, ALT = Principal(OWNER, "main"), Principal(OTHER, "alt")
BUCKET = Resource("bucket", OWNER)
OBJECT = Resource("bucket", OWNER, b"key", OWNER)
ALTS_OBJECT = Resource("bucket", OWNER, b"key", OTHER)
WITHOUT_A_BUCKET = {Permission.LIST_ALL_MY_BUCKETS, Permission.CREATE_BUCKET}
REPAIR = {Permission.GET_BUCKET_POLICY, Permission.PUT_BUCKET_POLICY, Permission.DELETE_BUCKET_POLICY}
EVERYTHING = ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]


def statement(effect: str = "Allow", action: str = "s3:*", **fields: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": "*", "Action": action, "Resource": EVERYTHING} | fields


def rules(*statements: dict[str, Any], **fields: Any) -> BucketRules:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}).encode()
    policy = parse_bucket_policy(text, "bucket")
    return replace(BucketRules(policy, is_public(policy)), **fields)


def user_policy(effect: str = "Allow", action: str = "s3:*") -> Any:
    body = {"Version": "2012-10-17", "Statement": {"Effect": effect, "Action": action, "Resource": "*"}}
    return parse_identity_policy(json.dumps(body).encode())


@pytest.mark.parametrize("permission", Permission)
def test_authorize_in_a_plain_bucket_is_for_its_account_alone(permission: Permission) -> None:
    assert authorize(MAIN, permission, BUCKET).allowed
    assert not authorize(ALT, permission, BUCKET).allowed
    assert not authorize(ANONYMOUS, permission, BUCKET).allowed
    assert not authorize(service_principal("logging.s3.amazonaws.com"), permission, BUCKET).allowed


@pytest.mark.parametrize("permission", Permission)
def test_authorize_without_a_bucket_only_what_needs_none(permission: Permission) -> None:
    assert authorize(MAIN, permission, None).allowed == (permission in WITHOUT_A_BUCKET)
    assert authorize(ANONYMOUS, permission, None).allowed == (permission is Permission.LIST_ALL_MY_BUCKETS)


def test_every_refusal_has_a_reason_of_its_own() -> None:
    decisions = [
        authorize(ANONYMOUS, Permission.GET_OBJECT, OBJECT),
        authorize(ALT, Permission.GET_OBJECT, OBJECT),
        authorize(MAIN, Permission.GET_OBJECT, ALTS_OBJECT),
        authorize(MAIN, Permission.GET_OBJECT, None),
        authorize(MAIN, Permission.GET_OBJECT, OBJECT, rules(statement("Deny"))),
        authorize(MAIN, Permission.GET_OBJECT, OBJECT, BucketRules(unreadable="damaged")),
        authorize(replace(MAIN, user="u"), Permission.GET_OBJECT, OBJECT),
        authorize(replace(MAIN, bounds=(user_policy(action="s3:PutObject"),)), Permission.GET_OBJECT, OBJECT),
    ]
    assert not any(each.allowed for each in decisions)
    assert len({each.reason for each in decisions}) == len(decisions)


@given(
    st.lists(st.sampled_from(["Allow", "Deny", "other"]), min_size=1, max_size=6),
    st.sampled_from([MAIN, ALT, ANONYMOUS, replace(MAIN, user="u", policies=(user_policy(),))]),
)
def test_authorize_deny_wins_wherever_it_stands(effects: list[str], principal: Principal) -> None:
    found = [statement("Deny", "s3:PutObject") if each == "other" else statement(each) for each in effects]
    public = (Grant(acl.ALL_USERS, acl.FULL_CONTROL),)
    decision = authorize(principal, Permission.GET_OBJECT, OBJECT._replace(object_acl=public), rules(*found))
    assert decision.allowed == ("Deny" not in effects)
    assert decision.is_explicit_deny == ("Deny" in effects)


@pytest.mark.parametrize("principal", [MAIN, ALT, ANONYMOUS])
@pytest.mark.parametrize("permission", Permission)
def test_authorize_with_unreadable_rules_denies_all_but_the_repair(
    permission: Permission, principal: Principal
) -> None:
    unreadable = BucketRules(unreadable="another format", acl=(Grant(acl.ALL_USERS, acl.FULL_CONTROL),))
    allowed = principal is MAIN and permission in REPAIR
    assert authorize(principal, permission, BUCKET, unreadable).allowed == allowed


@pytest.mark.parametrize("permission", Permission)
def test_authorize_deny_of_everything_binds_the_owner_but_for_the_policy(permission: Permission) -> None:
    denied = rules(statement("Deny", "*"))
    assert authorize(MAIN, permission, BUCKET, denied).allowed == (permission in REPAIR)
    of_a_user = replace(MAIN, user="u", policies=(user_policy(),))
    assert not authorize(of_a_user, permission, BUCKET, denied).allowed
    in_a_session = replace(MAIN, bounds=(user_policy(),))
    assert not authorize(in_a_session, permission, BUCKET, denied).allowed


def test_authorize_by_the_buckets_policy() -> None:
    allowing = rules(statement(action="s3:GetObject", Principal={"AWS": "alt"}))
    assert authorize(ALT, Permission.GET_OBJECT, OBJECT, allowing).basis is Basis.BUCKET_POLICY
    assert not authorize(ALT, Permission.PUT_OBJECT, OBJECT, allowing).allowed
    assert not authorize(ANONYMOUS, Permission.GET_OBJECT, OBJECT, allowing).allowed


def test_authorize_of_anothers_object_is_its_owners() -> None:
    allowing = rules(statement())
    assert authorize(ALT, Permission.GET_OBJECT, ALTS_OBJECT).basis is Basis.ACL
    assert not authorize(MAIN, Permission.GET_OBJECT, ALTS_OBJECT).allowed
    assert not authorize(MAIN, Permission.GET_OBJECT_ACL, ALTS_OBJECT, allowing).allowed
    assert not authorize(ANONYMOUS, Permission.GET_OBJECT, ALTS_OBJECT, allowing).allowed
    granted = ALTS_OBJECT._replace(object_acl=(Grant("main", acl.READ),))
    assert authorize(MAIN, Permission.GET_OBJECT, granted).basis is Basis.ACL
    # What may be done with the key is the bucket owner's all the same.
    assert authorize(MAIN, Permission.DELETE_OBJECT, ALTS_OBJECT).allowed
    assert authorize(MAIN, Permission.GET_OBJECT_TAGGING, ALTS_OBJECT).allowed
    assert not authorize(ALT, Permission.GET_OBJECT, ALTS_OBJECT, rules(statement("Deny"))).allowed


def test_authorize_where_acls_are_disabled_all_is_the_bucket_owners() -> None:
    disabled = BucketRules(acls_disabled=True, acl=(Grant(acl.ALL_USERS, acl.READ),))
    public = ALTS_OBJECT._replace(object_acl=(Grant(acl.ALL_USERS, acl.READ),))
    assert authorize(MAIN, Permission.GET_OBJECT, public, disabled).allowed
    assert not authorize(ALT, Permission.GET_OBJECT, public, disabled).allowed
    assert not authorize(ALT, Permission.LIST_BUCKET, BUCKET, disabled).allowed
    allowing = replace(rules(statement()), acls_disabled=True)
    assert authorize(ANONYMOUS, Permission.GET_OBJECT, public, allowing).allowed


def test_authorize_ignore_public_acls_leaves_the_grants_to_accounts() -> None:
    grants = (Grant(acl.ALL_USERS, acl.READ), Grant(acl.AUTHENTICATED_USERS, acl.READ), Grant("third", acl.READ))
    third = Principal(AccountId(3), "third")
    ignoring = BucketRules(acl=grants, block=PublicAccessBlock(ignore_public_acls=True))
    for principal, plain, ignored in ((ANONYMOUS, True, False), (ALT, True, False), (third, True, True)):
        assert authorize(principal, Permission.LIST_BUCKET, BUCKET, BucketRules(acl=grants)).allowed == plain
        assert authorize(principal, Permission.LIST_BUCKET, BUCKET, ignoring).allowed == ignored
        resource = OBJECT._replace(object_acl=grants)
        assert authorize(principal, Permission.GET_OBJECT, resource, ignoring).allowed == ignored


def test_authorize_restrict_public_buckets_closes_a_public_policy_to_the_account() -> None:
    block = PublicAccessBlock(restrict_public_buckets=True)
    public = rules(statement(), statement(Principal={"AWS": "alt"}), block=block)
    assert not authorize(ANONYMOUS, Permission.GET_OBJECT, OBJECT, public).allowed
    assert not authorize(ALT, Permission.GET_OBJECT, OBJECT, public).allowed
    assert authorize(replace(MAIN, user="u"), Permission.GET_OBJECT, OBJECT, public).allowed
    assert authorize(service_principal("logging.s3.amazonaws.com"), Permission.PUT_OBJECT, OBJECT, public).allowed
    private = rules(statement(Principal={"AWS": "alt"}), block=block)
    assert authorize(ALT, Permission.GET_OBJECT, OBJECT, private).allowed


def test_authorize_a_user_needs_a_policy_of_either_side_at_home() -> None:
    user = replace(MAIN, user="u")
    assert not authorize(user, Permission.GET_OBJECT, OBJECT).allowed
    allowed = authorize(replace(user, policies=(user_policy(),)), Permission.GET_OBJECT, OBJECT)
    assert allowed.basis is Basis.USER_POLICY
    named = rules(statement(Principal={"AWS": "arn:aws:iam::main:user/u"}))
    assert authorize(user, Permission.GET_OBJECT, OBJECT, named).allowed
    denied = replace(user, policies=(user_policy(), user_policy("Deny")))
    assert not authorize(denied, Permission.GET_OBJECT, OBJECT, named).allowed


def test_authorize_a_user_needs_policies_of_both_sides_abroad() -> None:
    user, allowing = replace(ALT, user="u"), rules(statement(Principal={"AWS": "alt"}))
    able = replace(user, policies=(user_policy(),))
    assert not authorize(user, Permission.GET_OBJECT, OBJECT, allowing).allowed
    assert not authorize(able, Permission.GET_OBJECT, OBJECT).allowed
    assert authorize(able, Permission.GET_OBJECT, OBJECT, allowing).allowed
    assert not authorize(user, Permission.GET_OBJECT, ALTS_OBJECT).allowed
    assert authorize(able, Permission.GET_OBJECT, ALTS_OBJECT).allowed


def test_authorize_each_policy_of_a_session_must_allow() -> None:
    reading, writing = user_policy(action="s3:Get*"), user_policy(action="s3:Put*")
    session = replace(MAIN, bounds=(reading,))
    assert authorize(session, Permission.GET_OBJECT, OBJECT).allowed
    assert not authorize(session, Permission.PUT_OBJECT, OBJECT).allowed
    assert not authorize(replace(MAIN, bounds=(reading, writing)), Permission.GET_OBJECT, OBJECT).allowed
    assert not authorize(replace(MAIN, bounds=(user_policy("Deny"),)), Permission.GET_OBJECT, OBJECT).allowed


def test_authorize_a_user_with_no_policy_makes_no_bucket() -> None:
    user = replace(MAIN, user="u")
    assert not authorize(user, Permission.CREATE_BUCKET, None).allowed
    assert authorize(replace(user, policies=(user_policy(),)), Permission.CREATE_BUCKET, None).allowed


def test_authorize_a_service_by_its_source() -> None:
    condition = {
        "StringEquals": {"aws:SourceAccount": "main"},
        "ArnLike": {"aws:SourceArn": "arn:aws:s3:::source-*"},
    }
    service = "logging.s3.amazonaws.com"
    target = rules(statement(action="s3:PutObject", Principal={"Service": service}, Condition=condition))
    resource = Resource("bucket", OWNER, b"log/2026")

    def allowed(account: str, arn: str, name: str = service) -> bool:
        facts = {"aws:sourceaccount": (account,), "aws:sourcearn": (arn,)}.get
        return authorize(service_principal(name), Permission.PUT_OBJECT, resource, target, facts).allowed

    assert allowed("main", "arn:aws:s3:::source-1")
    assert not allowed("alt", "arn:aws:s3:::source-1")
    assert not allowed("main", "arn:aws:s3:::elsewhere")
    assert not allowed("main", "arn:aws:s3:::source-1", "events.amazonaws.com")
    # Whoever may be anybody is still no service.
    anybody = rules(statement(Principal={"AWS": "*"}))
    assert not authorize(service_principal(service), Permission.PUT_OBJECT, resource, anybody).allowed


def test_explain_tells_what_was_looked_at() -> None:
    found = rules(statement("Deny", "s3:PutObject", Sid="no writes"), statement(Sid="reads"))
    decision = explain(ALT, Permission.PUT_OBJECT, OBJECT, found)
    trace = (Step("bucket policy", "Deny (no writes)"),)
    assert decision == Decision(False, Basis.DENY, "the bucket's policy denies it", trace)
    assert [step.outcome for step in explain(ALT, Permission.GET_OBJECT, OBJECT, found).trace] == ["Allow (reads)"]
    assert explain(MAIN, Permission.GET_OBJECT, OBJECT, NO_RULES).allowed


@given(
    st.sampled_from([*Permission]),
    st.sampled_from([MAIN, ALT, ANONYMOUS, replace(MAIN, user="u"), replace(MAIN, bounds=(user_policy(),))]),
    st.sampled_from([BUCKET, OBJECT, ALTS_OBJECT, None]),
    st.sampled_from([NO_RULES, BucketRules(unreadable="x"), rules(statement()), rules(statement("Deny"))]),
)
def test_authorize_says_what_explain_says(
    permission: Permission, principal: Principal, resource: Resource | None, found: BucketRules
) -> None:
    """The short way for owners is no second rule."""
    short, long = (each(principal, permission, resource, found) for each in (authorize, explain))
    assert (short.allowed, short.reason) == (long.allowed, long.reason)
