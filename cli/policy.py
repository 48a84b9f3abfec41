"""`cyxcloud policy`: why somebody may or may not do something, decided by what decides for the gateway."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from cli.options import FAILED, CommandError, DataOption, JsonOption, explained, home_of, show
from cli.store import Store, open_existing
from cyxcloud.meta import accounts, bucket_config, reads
from cyxcloud.meta.reads import ObjectRead
from cyxcloud.objects import attributes
from cyxcloud.objects.actions import action_of, resource_kind_of
from cyxcloud.objects.authorize import Decision, Resource, explain
from cyxcloud.objects.bucket_config import BucketConfig
from cyxcloud.objects.bucket_rules import rules_of
from cyxcloud.objects.policy_keys import EXISTING_TAG, known_key
from cyxcloud.objects.principal import ANONYMOUS, Principal, service_principal
from cyxcloud.objects.rights import Permission, ResourceKind

app = typer.Typer(help="Who may do what, and why.", no_args_is_help=True, rich_markup_mode=None)

ANYBODY = "anonymous"
_BY_NAME = {permission.value.lower(): permission for permission in Permission}


@app.command("explain")
def explain_command(
    name: Annotated[str, typer.Argument(metavar="BUCKET[/KEY]", help="What it would be done to.")],
    *,
    caller: Annotated[
        str, typer.Option("--as", metavar="USER", help="A user's id, a service's host name, or `anonymous`.")
    ],
    action: Annotated[str, typer.Option(help="The action as policies name it, e.g. s3:GetObject.")],
    context: Annotated[
        list[str] | None,
        typer.Option("--context", metavar="KEY=VALUE", help="A condition key of the request; repeat it for others."),
    ] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether a request would be allowed, and which rule decides.

    The exit code is 1 where it would be denied.

    Examples:

      cyxcloud policy explain photos/sea.jpg --as anonymous --action s3:GetObject

      cyxcloud policy explain photos --as ada --action s3:ListBucket --context s3:prefix=2026/ --json
    """
    with explained(), open_existing(home_of(data)) as store:
        permission = _BY_NAME.get(action.lower())
        if permission is None:
            raise CommandError(f"there is no action {action}; actions are named as in policies, e.g. s3:GetObject")
        decision = _decide(store, name, _principal(store, caller), permission, _facts(context or []))
    value = _described(decision)
    show(value, as_json=as_json, text=lambda console: _print(console, decision))
    if not decision.allowed:
        raise typer.Exit(FAILED)


def _principal(store: Store, caller: str) -> Principal:
    if caller == ANYBODY:
        return ANONYMOUS
    found = accounts.by_canonical_id(store.reader, caller)
    if found is not None:
        return Principal(found.id, found.canonical_id, found.display_name)
    if "." in caller:
        return service_principal(caller)
    raise CommandError(f"there is no user {caller}; `cyxcloud user list` shows all")


def _facts(given: list[str]) -> dict[str, tuple[str, ...]]:
    facts: dict[str, tuple[str, ...]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        key = known_key(name)
        if key is None or not equals:
            raise CommandError(f"--context {text}: give a condition key and its value, e.g. s3:prefix=2026/")
        facts[key] = (*facts.get(key, ()), value)
    return facts


def _decide(
    store: Store, name: str, principal: Principal, permission: Permission, given: dict[str, tuple[str, ...]]
) -> Decision:
    bucket, slash, key = name.partition("/")
    on_object = resource_kind_of(action_of(permission)) is ResourceKind.OBJECT
    if on_object != bool(slash and key):
        raise CommandError(f"{permission} is done to {'an object: give BUCKET/KEY' if on_object else 'a bucket'}")
    found = reads.read_object(store.reader, bucket, key.encode(), with_body=False)
    if found.bucket is None:
        raise CommandError(f"there is no bucket {bucket}")
    rules = rules_of(BucketConfig(bucket_config.read_all(store.reader, found.bucket.id)), found.bucket)
    resource, tags = _resource(found, key.encode() if on_object else None)
    own = {} if principal.account is None else _facts_of(principal)
    return explain(principal, permission, resource, rules, (own | tags | given).get)


def _facts_of(principal: Principal) -> dict[str, tuple[str, ...]]:
    return {
        "aws:principalaccount": (principal.canonical_id,),
        "aws:principalarn": (principal.arn,),
        "aws:principaltype": ("Account",),
        "aws:userid": (principal.canonical_id,),
        "aws:username": (principal.canonical_id,),
    }


def _resource(found: ObjectRead, key: bytes | None) -> tuple[Resource, dict[str, tuple[str, ...]]]:
    """What is acted on, and what policies see of its tags."""
    assert found.bucket is not None
    resource = Resource(found.bucket.name, found.bucket.account, key)
    version = found.version
    if key is None or version is None or version.is_delete_marker:
        return resource, {}
    kept = attributes.decode(version.attributes)
    tags: dict[str, tuple[str, ...]] = {EXISTING_TAG + name: (value,) for name, value in kept.tags.items()}
    return resource._replace(object_account=version.account, object_acl=kept.acl), tags


def _described(decision: Decision) -> dict[str, Any]:
    return {
        "allowed": decision.allowed,
        "decided_by": decision.basis.name.lower(),
        "reason": decision.reason,
        "trace": [{"rule": step.rule, "outcome": step.outcome} for step in decision.trace],
    }


def _print(console: Console, decision: Decision) -> None:
    console.print(f"{'allowed' if decision.allowed else 'denied'}: {decision.reason}", markup=False)
    for step in decision.trace:
        console.print(f"  {step.rule}: {step.outcome}", markup=False)
