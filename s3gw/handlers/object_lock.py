"""Object lock: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectRetention.html and its neighbours."""

from __future__ import annotations

from dataclasses import replace

from cyxcloud.objects import lock, locking
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.get import ObjectView
from cyxcloud.objects.lock import OBJECT_LOCK, ObjectLock
from cyxcloud.objects.rights import Permission
from s3gw import locks
from s3gw.authority import demand
from s3gw.configuration import object_lock as documents
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error
from s3gw.handlers.subresource import amend_found, checked_document
from s3gw.opened import opened


async def get_object_lock_configuration(ctx: RequestContext) -> Response:
    if not locks.locks(ctx.bucket):
        raise S3Error(Code.OBJECT_LOCK_CONFIGURATION_NOT_FOUND, bucket_name=ctx.bucket.name)
    return xml_response(documents.render_configuration(ctx.config.get(OBJECT_LOCK) or ObjectLock()))


async def put_object_lock_configuration(ctx: RequestContext) -> Response:
    config = documents.parse_configuration(await checked_document(ctx, documents.MAX_BYTES))
    await locking.configure(ctx.store, ctx.bucket, config)
    return Response(200, {})


async def get_object_retention(ctx: RequestContext) -> Response:
    view = _lockable(ctx)
    found = view.attributes.lock
    if found is None or not found.mode:
        raise S3Error(Code.NO_SUCH_OBJECT_LOCK_CONFIGURATION, key=ctx.key)
    return xml_response(documents.render_retention(found))


async def put_object_retention(ctx: RequestContext) -> Response:
    wanted = documents.parse_retention(await checked_document(ctx, documents.MAX_BYTES))
    view, now_ms = _lockable(ctx), ctx.store.clock.now_ms()
    extra = {} if wanted is None else locks.conditions(wanted, now_ms)
    demand(ctx, Permission.PUT_OBJECT_RETENTION, version=view.version, extra=extra)
    bypasses = locks.bypasses(ctx, version=view.version)

    def change(attributes: Attributes) -> Attributes:
        locked = lock.retained(attributes.lock, wanted, ctx.store.clock.now_ms(), bypasses_governance=bypasses)
        return replace(attributes, lock=locked)

    await amend_found(ctx, view, change, "ObjectRetention:Put")
    return Response(200, {})


async def get_object_legal_hold(ctx: RequestContext) -> Response:
    view = _lockable(ctx)
    found = view.attributes.lock
    if found is None or found.legal_hold is None:
        raise S3Error(Code.NO_SUCH_OBJECT_LOCK_CONFIGURATION, key=ctx.key)
    return xml_response(documents.render_legal_hold(on=found.legal_hold))


async def put_object_legal_hold(ctx: RequestContext) -> Response:
    on = documents.parse_legal_hold(await checked_document(ctx, documents.MAX_BYTES))
    view = _lockable(ctx)
    extra = {"s3:object-lock-legal-hold": "ON" if on else "OFF"}
    demand(ctx, Permission.PUT_OBJECT_LEGAL_HOLD, version=view.version, extra=extra)
    event = "ObjectLegalHold:Put"
    await amend_found(ctx, view, lambda attributes: replace(attributes, lock=lock.held(attributes.lock, on=on)), event)
    return Response(200, {})


def _lockable(ctx: RequestContext) -> ObjectView:
    if not locks.locks(ctx.bucket):
        raise S3Error(Code.INVALID_REQUEST, "Bucket is missing Object Lock Configuration")
    return opened(ctx)
