"""Which access control list a request asks for by its headers, and whose what it writes becomes.

A list is asked for in one way: a canned name, or grants. Grantees are looked up as they are named, so that no list
names somebody who is not there; what is kept is canonical ids and groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from cyxcloud.core.ids import AccountId
from cyxcloud.objects import acl, ownership
from cyxcloud.objects.acl import Grant, Grants
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.ownership import Owned, Ownership
from cyxcloud.objects.store import Store
from s3gw.context import RequestContext
from s3gw.errors import Code, S3Error
from s3gw.new_lists import check_list_of_new
from s3gw.people import owner_named

CANNED = "x-amz-acl"
_GRANTS = {
    "x-amz-grant-read": acl.READ,
    "x-amz-grant-write": acl.WRITE,
    "x-amz-grant-read-acp": acl.READ_ACP,
    "x-amz-grant-write-acp": acl.WRITE_ACP,
    "x-amz-grant-full-control": acl.FULL_CONTROL,
}
HEADERS = frozenset((CANNED, *_GRANTS))
_GRANTEE = re.compile(r"""\s*(\w+)\s*=\s*("([^"]*)"|'([^']*)'|[^,]*)\s*(,|$)""").match


def new_object(ctx: RequestContext, headers: Mapping[str, str]) -> Owned:
    """Owner and list of what this request writes; `headers` are the request's, or a form's fields under their names."""
    writer = writer_of(ctx)
    asks = not HEADERS.isdisjoint(headers)
    if writer == ctx.bucket.account and not asks:
        return Owned(writer)
    bucket_owner, writer_id = owner_named(ctx.store, ctx.bucket.account).id, owner_named(ctx.store, writer).id
    grants = asked(ctx.store, headers, writer_id, bucket_owner) if asks else None
    if asks and ownership.rule_of(ctx.config) is Ownership.BUCKET_OWNER_ENFORCED:
        _refuse_other_lists(headers, grants, bucket_owner)
    if asks:
        check_list_of_new(ctx, grants)
    return ownership.of_new_object(ctx.config, ctx.bucket, Owned(writer, grants), bucket_owner, writer_id)


def writer_of(ctx: RequestContext) -> AccountId:
    return ctx.principal.account or acl.ANONYMOUS_ACCOUNT


def with_acl(attributes: Attributes, owned: Owned) -> Attributes:
    return attributes if owned.grants is None else replace(attributes, acl=owned.grants)


def _refuse_other_lists(headers: Mapping[str, str], grants: Grants | None, bucket_owner: str) -> None:
    """Where lists do not count, only the one that says so much may still be named: older clients always send it."""
    if headers.get(CANNED) == acl.BUCKET_OWNER_FULL_CONTROL or grants == acl.private(bucket_owner):
        return
    raise S3Error(Code.ACCESS_CONTROL_LIST_NOT_SUPPORTED)


def asked(store: Store, headers: Mapping[str, str], owner: str, bucket_owner: str) -> Grants | None:
    """The list that at least one of HEADERS asks for. Grants alone are the whole list: the owner has none of them."""
    canned = headers.get(CANNED)
    named = [name for name in _GRANTS if name in headers]
    if canned is not None and named:
        raise S3Error(Code.INVALID_REQUEST, "Specifying both Canned ACLs and Header Grants is not allowed")
    if canned is not None:
        if canned not in acl.CANNED:
            raise S3Error(Code.INVALID_ARGUMENT, argument_name=CANNED, argument_value=canned)
        return acl.expand(canned, owner, bucket_owner)
    grants = [Grant(grantee, _GRANTS[name]) for name in named for grantee in _grantees(store, name, headers[name])]
    if len(grants) > acl.MAX_GRANTS:
        raise S3Error(Code.INVALID_REQUEST, f"A list has at most {acl.MAX_GRANTS} grants")
    return acl.normal(grants, owner)


def _grantees(store: Store, header: str, text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _GRANTEE(text, at)
        if match is None:
            raise S3Error(
                Code.INVALID_ARGUMENT, "Argument format not recognized", argument_name=header, argument_value=text
            )
        kind, value = match[1].lower(), next(each for each in (match[3], match[4], match[2]) if each is not None)
        yield resolve_grantee(store, kind, value.strip(), header)
        at = match.end()


def resolve_grantee(store: Store, kind: str, value: str, argument: str) -> str:
    """`kind` is id, uri or emailaddress. Raises InvalidArgument, UnresolvableGrantByEmailAddress."""
    if kind == "id":
        if value not in _KNOWN_IDS and store.accounts.by_canonical_id(value) is None:
            raise S3Error(Code.INVALID_ARGUMENT, "Invalid id", argument_name=argument, argument_value=value)
        return value
    if kind == "uri":
        if value not in acl.GROUPS:
            raise S3Error(Code.INVALID_ARGUMENT, "Invalid group uri", argument_name=argument, argument_value=value)
        return value
    if kind != "emailaddress":
        raise S3Error(
            Code.INVALID_ARGUMENT, "Argument format not recognized", argument_name=argument, argument_value=value
        )
    found = store.accounts.by_email(value) if value else []
    if not found:
        raise S3Error(Code.UNRESOLVABLE_GRANT_BY_EMAIL_ADDRESS)
    if len(found) > 1:
        raise S3Error(Code.AMBIGUOUS_GRANT_BY_EMAIL_ADDRESS)
    return found[0].canonical_id


# Lists that were read may be written again, so what stands in them without being an account is known.
_KNOWN_IDS = frozenset((acl.EC2_CANONICAL_ID, acl.ANONYMOUS_CANONICAL_ID))
