"""The headers of SSE-KMS, beside the key's name: the context and the bucket key (pure)."""

from __future__ import annotations

import json
from base64 import b64decode

from s3gw.customer_keys import SSE
from s3gw.errors import Code, S3Error

KEY_ID, CONTEXT, BUCKET_KEY = f"{SSE}-aws-kms-key-id", f"{SSE}-context", f"{SSE}-bucket-key-enabled"


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
