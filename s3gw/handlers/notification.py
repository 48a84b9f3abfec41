"""Who is told of what happens in a bucket.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
"""

from __future__ import annotations

from cyxcloud.objects import notifying
from cyxcloud.objects.notification import NOTIFICATION, InvalidNotification, NotificationConfig
from s3gw.configuration import notification
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error

_SKIP = "x-amz-skip-destination-validation"


async def get_bucket_notification_configuration(ctx: RequestContext) -> Response:
    """A bucket without one has an empty one."""
    return xml_response(notification.render(ctx.config.get(NOTIFICATION) or NotificationConfig()))


async def put_bucket_notification_configuration(ctx: RequestContext) -> Response:
    config = notification.parse(await ctx.body.read_document(notification.MAX_BYTES))
    validates = ctx.headers.get(_SKIP, "").lower() != "true"
    try:
        await notifying.configure(ctx.store, ctx.bucket, config, ctx.request_id, validates=validates)
    except InvalidNotification as error:
        raise S3Error(Code.INVALID_ARGUMENT, str(error)) from None
    return Response(200, {})
