"""Whether this request is charged to the one who makes it, who must have said that he knows."""

from __future__ import annotations

from cyxcloud.objects.request_payment import CONSENT, PAYMENT, consents, is_charged
from s3gw.context import RequestContext, Response
from s3gw.errors import Code, S3Error

_HEADER = "x-amz-request-payer"
_CHARGED = "x-amz-request-charged"


def is_charged_to_requester(ctx: RequestContext) -> bool:
    """Raises AccessDenied for one who does not say that he pays. The owner's requests cost a comparison."""
    if ctx.row is None or ctx.row.account == ctx.principal.account:
        return False
    if not is_charged(ctx.config.get(PAYMENT), ctx.principal, ctx.row.account):
        return False
    if not consents(ctx.principal, ctx.headers.get(_HEADER)):
        raise S3Error(Code.ACCESS_DENIED)
    return True


def charged(response: Response) -> Response:
    response.headers[_CHARGED] = CONSENT
    return response
