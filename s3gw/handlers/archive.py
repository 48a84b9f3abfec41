"""Objects of the archive classes: refused to readers until they are restored, which here takes no time.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html
"""

from __future__ import annotations

from cyxcloud.objects import restore
from cyxcloud.objects.get import ObjectView
from cyxcloud.objects.storage_classes import ARCHIVED, is_readable
from s3gw.configuration import restore as documents
from s3gw.context import RequestContext, Response
from s3gw.errors import Code, S3Error
from s3gw.opened import opened
from s3gw.times import http_date


def demand_readable(ctx: RequestContext, view: ObjectView) -> None:
    """Raises InvalidObjectState."""
    storage_class = view.version.storage_class
    if storage_class not in ARCHIVED:
        return
    if not is_readable(storage_class, view.attributes.restored_until_ms, ctx.store.clock.now_ms()):
        raise S3Error(Code.INVALID_OBJECT_STATE, storage_class=storage_class)


def class_headers(ctx: RequestContext, view: ObjectView) -> dict[str, str]:
    """Of an object whose class is not STANDARD, which goes without saying."""
    headers = {"x-amz-storage-class": view.version.storage_class}
    until_ms = view.attributes.restored_until_ms
    if until_ms > ctx.store.clock.now_ms():
        headers["x-amz-restore"] = f'ongoing-request="false", expiry-date="{http_date(until_ms)}"'
    return headers


async def restore_object(ctx: RequestContext) -> Response:
    """202 begins a restoration, which is over by then; 200 gives one that stands another end."""
    days = documents.parse(await ctx.body.read_document(documents.MAX_BYTES))
    view = opened(ctx)
    if view.version.storage_class not in ARCHIVED:
        raise S3Error(
            Code.INVALID_OBJECT_STATE,
            "Restore is not allowed for the object's current storage class",
            storage_class=view.version.storage_class,
        )
    was_restored = await restore.restore(ctx.store, view.version, days, ctx.cause(restore.BEGUN))
    return Response(200 if was_restored else 202, {})
