"""The headers of SSE-KMS: how a key is named, and the context that goes with it (pure).

A key is named by its name, `alias/NAME` or an ARN of either. S3 shows clients what the object was stored with, so the
text stays as it was given.
"""

from __future__ import annotations

import json
from base64 import b64decode

from cyxcloud.objects.kms import DEFAULT_KEY
from s3gw.customer_keys import SSE
from s3gw.errors import Code, S3Error

KEY_ID, CONTEXT, BUCKET_KEY = f"{SSE}-aws-kms-key-id", f"{SSE}-context", f"{SSE}-bucket-key-enabled"
ALIAS = "alias/"
_ARN_FIELDS = 6


def default_arn(region: str) -> str:
    """What S3 shows where the client named no key; a store has one account of named keys."""
    return f"arn:aws:kms:{region}:000000000000:{ALIAS}{DEFAULT_KEY}"


def key_name(text: str, region: str) -> str:
    """The name of the key that `text` means. Raises KMS.NotFoundException for what names none here."""
    if text.startswith("arn:"):
        fields = text.split(":", _ARN_FIELDS - 1)
        if len(fields) != _ARN_FIELDS or fields[2] != "kms":
            raise S3Error(Code.KMS_NOT_FOUND, f"Invalid arn {text}")
        if fields[3] != region:
            raise S3Error(Code.KMS_NOT_FOUND, f"Invalid arn {fields[3]}")
        kind, _, name = fields[5].partition("/")
        if kind not in ("key", "alias"):
            raise S3Error(Code.KMS_NOT_FOUND, f"Invalid arn {text}")
        return name
    if text == DEFAULT_KEY:
        raise not_found(text)  # it has no id of its own: an alias is all that names it
    return text.removeprefix(ALIAS)


def not_found(text: str) -> S3Error:
    if text.startswith("arn:"):
        return S3Error(Code.KMS_NOT_FOUND, f"Key '{text}' does not exist")
    if text.startswith(ALIAS):
        return S3Error(Code.KMS_NOT_FOUND, f"Alias {text} is not found.")
    return S3Error(Code.KMS_NOT_FOUND, f"Invalid keyId '{text}'")


def check_context(text: str) -> None:
    """Base64 of UTF-8 JSON that maps strings to strings."""
    try:
        context = json.loads(b64decode(text, validate=True).decode())
    except (ValueError, RecursionError):
        context = None
    if not isinstance(context, dict) or not all(isinstance(value, str) for value in context.values()):
        raise S3Error(
            Code.INVALID_ARGUMENT,
            f"The header '{CONTEXT}' shall be Base64-encoded UTF-8 string holding JSON which represents a "
            "string-string map",
            argument_name=CONTEXT,
            argument_value=text,
        )


def bucket_key(text: str) -> bool:
    value = {"true": True, "false": False}.get(text.strip().lower())
    if value is None:
        raise S3Error(Code.INVALID_ARGUMENT, argument_name=BUCKET_KEY, argument_value=text)
    return value
