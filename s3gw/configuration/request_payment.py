"""RequestPaymentConfiguration: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketRequestPayment.html"""

from __future__ import annotations

from cyxcloud.objects.request_payment import OWNER, REQUESTER, RequestPayment
from s3gw import xml
from s3gw.xml_reader import TEXT, Struct, malformed, read, text_of

MAX_BYTES = 4 << 10
_ROOT = "RequestPaymentConfiguration"
_SHAPE = Struct({"Payer": TEXT})


def parse(document: bytes) -> RequestPayment:
    payer = text_of(read(document, _ROOT, _SHAPE, MAX_BYTES), "Payer")
    if payer not in (OWNER, REQUESTER):
        raise malformed()
    return RequestPayment(payer)


def render(payment: RequestPayment) -> bytes:
    return xml.document(_ROOT, f"<Payer>{payment.payer}</Payer>")
