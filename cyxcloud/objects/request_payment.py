"""Who pays for the requests to a bucket: its owner, or whoever makes them (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html: where the requester pays, he must say
that he knows it, and be somebody.
"""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.core.ids import AccountId
from cyxcloud.objects.bucket_config import ConfigKey
from cyxcloud.objects.principal import Principal

OWNER, REQUESTER = "BucketOwner", "Requester"
# What the header of the one who pays says, and the answer's.
CONSENT = "requester"


@dataclass(frozen=True, slots=True)
class RequestPayment:
    payer: str = OWNER


PAYMENT = ConfigKey("request_payment", RequestPayment)


def is_charged(payment: RequestPayment | None, principal: Principal, owner: AccountId) -> bool:
    return payment is not None and payment.payer == REQUESTER and principal.account != owner


def consents(principal: Principal, header: str | None) -> bool:
    """Nobody in particular cannot pay."""
    return principal.account is not None and (header or "").strip().lower() == CONSENT
