"""The signature of a browser form's policy by Signature Version 4 (pure).

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html: what is signed is the policy as it
was sent, in base64; the policy itself says what it allows and until when.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import NamedTuple

from s3gw.sigv4.authorization import ALGORITHM, check_form_scope, refuse_ecdsa
from s3gw.sigv4.errors import SignatureError, SignatureFault
from s3gw.sigv4.signing import derive_signing_key
from s3gw.sigv4.timestamps import parse_amz_date

FIELDS = ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature")


class FormSignatureV4(NamedTuple):
    """A well-formed signature of a form that is not yet proven."""

    access_key: str
    date: str
    region: str
    signature: str
    text: str

    def is_signed_by(self, secret: str) -> bool:
        expected = derive_signing_key(secret, self.date, self.region).sign(self.text)
        return hmac.compare_digest(expected.encode(), self.signature.encode("utf-8", "surrogateescape"))


def parse_form(fields: Mapping[str, str], region: str) -> FormSignatureV4:
    """`fields` by lower-case name, all of `FIELDS` and `policy` present."""
    algorithm, scope, timestamp, signature = [fields[name] for name in FIELDS]
    if algorithm != ALGORITHM:
        if algorithm == "AWS4-ECDSA-P256-SHA256":
            refuse_ecdsa()
        raise _invalid("X-Amz-Algorithm", algorithm, f"Only {ALGORITHM} is supported")
    parts = scope.rsplit("/", 4)
    check_form_scope(parts, region)
    if parse_amz_date(timestamp) is None:
        raise _invalid("X-Amz-Date", timestamp, "X-Amz-Date must be formated via ISO8601 Long format")
    if timestamp[:8] != parts[1]:
        raise _invalid("X-Amz-Date", timestamp, "The date of x-amz-credential is not that of x-amz-date")
    return FormSignatureV4(parts[0], parts[1], region, signature, fields["policy"])


def _invalid(name: str, value: str, message: str) -> SignatureError:
    return SignatureError(SignatureFault.INVALID_ARGUMENT, message, ArgumentName=name, ArgumentValue=value)
