"""Who pays: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html"""

from __future__ import annotations

from cyxcloud.objects import bucket_config
from cyxcloud.objects.request_payment import PAYMENT, RequestPayment
from s3gw.configuration import request_payment
from s3gw.context import RequestContext, Response, xml_response


async def get_bucket_request_payment(ctx: RequestContext) -> Response:
    return xml_response(request_payment.render(ctx.config.get(PAYMENT) or RequestPayment()))


async def put_bucket_request_payment(ctx: RequestContext) -> Response:
    payment = request_payment.parse(await ctx.body.read_document(request_payment.MAX_BYTES))
    await bucket_config.put(ctx.store, ctx.bucket, PAYMENT, payment)
    return Response(200, {})
