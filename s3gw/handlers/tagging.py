"""Tags of objects and buckets: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html"""

from __future__ import annotations

from dataclasses import replace

from cyxcloud.objects import bucket_config, tags
from cyxcloud.objects.rights import of_a_version
from cyxcloud.objects.tags import BUCKET_TAGS
from s3gw.authority import demand
from s3gw.configuration import tagging
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error
from s3gw.handlers.subresource import amend_found, checked_document
from s3gw.opened import opened, version_headers


async def get_object_tagging(ctx: RequestContext) -> Response:
    view = opened(ctx)
    return xml_response(tagging.render(view.attributes.tags), headers=version_headers(ctx, view.version))


async def put_object_tagging(ctx: RequestContext) -> Response:
    wanted = tags.object_tags(tagging.parse(await checked_document(ctx, tagging.MAX_BYTES)))
    permission = ctx.operation.permission
    extra = tags.conditions(tags.REQUESTED, wanted)
    # The pipeline leaves it to this: a policy may allow some tags and not others.
    demand(ctx, of_a_version(permission) if "versionId" in ctx.query else permission, extra=extra)
    return Response(200, await _set_tags(ctx, wanted, "ObjectTagging:Put"))


async def delete_object_tagging(ctx: RequestContext) -> Response:
    return Response(204, await _set_tags(ctx, {}, "ObjectTagging:Delete"))


async def _set_tags(ctx: RequestContext, wanted: dict[str, str], event: str) -> dict[str, str]:
    view = opened(ctx)
    return await amend_found(ctx, view, lambda attributes: replace(attributes, tags=wanted), event)


async def get_bucket_tagging(ctx: RequestContext) -> Response:
    found = ctx.config.get(BUCKET_TAGS)
    if found is None:
        raise S3Error(Code.NO_SUCH_TAG_SET, bucket_name=ctx.bucket.name)
    return xml_response(tagging.render(found.tags))


async def put_bucket_tagging(ctx: RequestContext) -> Response:
    wanted = tags.bucket_tags(tagging.parse(await checked_document(ctx, tagging.MAX_BYTES)))
    if wanted.tags:
        await bucket_config.put(ctx.store, ctx.bucket, BUCKET_TAGS, wanted)
    else:
        await bucket_config.remove(ctx.store, ctx.bucket, BUCKET_TAGS)
    return Response(204, {})


async def delete_bucket_tagging(ctx: RequestContext) -> Response:
    await bucket_config.remove(ctx.store, ctx.bucket, BUCKET_TAGS)
    return Response(204, {})
