"""Inventories of a bucket: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html"""

from __future__ import annotations

from cyxcloud.objects import buckets, taking_inventory
from cyxcloud.objects.inventory import INVENTORY, Inventories
from cyxcloud.objects.taking_inventory import TooManyInventories
from s3gw.configuration import inventory
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error
from s3gw.parameters import decode_token, encode_token

PAGE = 100


async def get_bucket_inventory_configuration(ctx: RequestContext) -> Response:
    found = _all(ctx).find(ctx.query["id"])
    if found is None:
        raise S3Error(Code.NO_SUCH_CONFIGURATION)
    return xml_response(inventory.render(found))


async def list_bucket_inventory_configurations(ctx: RequestContext) -> Response:
    token = ctx.query.get("continuation-token", "")
    after = decode_token(token).decode() if token else ""
    following = [each for each in _all(ctx).configs if each.id > after]
    next_token = encode_token(following[PAGE - 1].id.encode()) if len(following) > PAGE else ""
    return xml_response(inventory.render_list(following[:PAGE], token, next_token))


async def put_bucket_inventory_configuration(ctx: RequestContext) -> Response:
    config = inventory.parse(await ctx.body.read_document(inventory.MAX_BYTES), ctx.query["id"])
    if buckets.find(ctx.store, config.bucket) is None:
        raise S3Error(Code.INVALID_S3_DESTINATION_BUCKET)
    try:
        await taking_inventory.configure(ctx.store, ctx.bucket, config)
    except TooManyInventories:
        raise S3Error(Code.TOO_MANY_CONFIGURATIONS) from None
    return Response(200, {})


async def delete_bucket_inventory_configuration(ctx: RequestContext) -> Response:
    if not await taking_inventory.forget(ctx.store, ctx.bucket, ctx.query["id"]):
        raise S3Error(Code.NO_SUCH_CONFIGURATION)
    return Response(204, {})


def _all(ctx: RequestContext) -> Inventories:
    return ctx.config.get(INVENTORY) or Inventories()
