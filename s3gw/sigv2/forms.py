"""The signature of a browser form's policy by Signature Version 2 (pure): HMAC-SHA1 over the policy as it was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from s3gw.sigv2.verify import is_signed

FIELDS = ("awsaccesskeyid", "signature")


class FormSignature(NamedTuple):
    """A signature of a form that is not yet proven."""

    access_key: str
    signature: str
    text: str

    def is_signed_by(self, secret: str) -> bool:
        return is_signed(secret, self.text, self.signature)


def parse_form(fields: Mapping[str, str]) -> FormSignature:
    """`fields` by lower-case name, all of `FIELDS` and `policy` present."""
    return FormSignature(fields["awsaccesskeyid"], fields["signature"], fields["policy"])
