"""Whether a bucket takes the access control list that a request brings with it."""

from __future__ import annotations

from cyxcloud.objects import acl
from cyxcloud.objects.acl import Grants
from cyxcloud.objects.bucket_rules import rules_of
from cyxcloud.objects.rights import Permission
from s3gw.authority import decide
from s3gw.context import RequestContext
from s3gw.errors import Code, S3Error


def refuse_public(ctx: RequestContext, grants: Grants | None) -> None:
    """Raises AccessDenied where the bucket's public access block refuses the list."""
    if acl.is_public(grants) and rules_of(ctx.config, ctx.bucket).block.block_public_acls:
        raise S3Error(Code.ACCESS_DENIED)


def check_list_of_new(ctx: RequestContext, grants: Grants | None) -> None:
    """The same for an object that is being written. Whoever writes it may set its list, unless a policy denies it."""
    refuse_public(ctx, grants)
    if rules_of(ctx.config, ctx.bucket).binds_owner and decide(ctx, Permission.PUT_OBJECT_ACL).is_explicit_deny:
        raise S3Error(Code.ACCESS_DENIED)
