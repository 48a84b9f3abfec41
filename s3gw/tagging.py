"""Tags that come with an object's other headers, and how many a read tells of."""

from __future__ import annotations

from collections.abc import Mapping

from cyxcloud.objects import tags
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.get import ObjectView
from cyxcloud.objects.rights import Permission, of_a_version
from s3gw.authority import demand, demand_of_new, is_allowed
from s3gw.context import RequestContext
from s3gw.errors import Code, S3Error

TAGGING = "x-amz-tagging"
_DIRECTIVE = "x-amz-tagging-directive"
_COUNT = "x-amz-tagging-count"
_NONE: dict[str, str] = {}


def requested(ctx: RequestContext) -> dict[str, str]:
    """Of a new object; giving it some is a right of its own."""
    text = ctx.headers.get(TAGGING)
    if not text:
        return _NONE
    found = tags.parse_header(text)
    if found:
        demand_of_new(ctx, Permission.PUT_OBJECT_TAGGING, tags.conditions(tags.REQUESTED, found))
    return found


def of_copy(ctx: RequestContext, source: ObjectView) -> dict[str, str]:
    """The source's, unless the request says that it brings its own."""
    directive = ctx.headers.get(_DIRECTIVE, "COPY")
    if directive == "REPLACE":
        return requested(ctx)
    if directive != "COPY":
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "Unknown tagging directive.",
            argument_name=_DIRECTIVE,
            argument_value=directive,
        )
    found = source.attributes.tags
    if found:
        version = source.version
        reading = Permission.GET_OBJECT_TAGGING
        if "?versionId=" in ctx.headers["x-amz-copy-source"]:
            reading = of_a_version(reading)
        extra = tags.conditions(tags.EXISTING, found)
        demand(ctx, reading, bucket=source.bucket, key=version.key, version=version, extra=extra)
        demand_of_new(ctx, Permission.PUT_OBJECT_TAGGING, tags.conditions(tags.REQUESTED, found))
    return found


def count_header(ctx: RequestContext, view: ObjectView, attributes: Attributes) -> Mapping[str, str]:
    """Of an object that has some; told only to those who may read them."""
    permission = Permission.GET_OBJECT_TAGGING
    if "versionId" in ctx.query:
        permission = of_a_version(permission)
    extra = tags.conditions(tags.EXISTING, attributes.tags)
    if not is_allowed(ctx, permission, version=view.version, extra=extra):
        return _NONE
    return {_COUNT: str(len(attributes.tags))}
