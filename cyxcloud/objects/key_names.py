"""How requests and configurations name a named key (pure): its name, `alias/NAME`, or an ARN of either.

S3 shows clients what an object was stored with, so what is kept is the text as it was given.
"""

from __future__ import annotations

from cyxcloud.objects.errors import KmsKeyNotFound
from cyxcloud.objects.kms import DEFAULT_KEY

ALIAS = "alias/"
_ARN_FIELDS = 6


def default_arn(region: str) -> str:
    """What is shown where nobody named a key; a store has one account of named keys."""
    return f"arn:aws:kms:{region}:000000000000:{ALIAS}{DEFAULT_KEY}"


def key_name(text: str, region: str) -> str:
    """The name of the key that `text` means. Raises KmsKeyNotFound for what names none here."""
    if text.startswith("arn:"):
        return _name_in_arn(text, region)
    if text == DEFAULT_KEY:
        raise not_found(text)  # it has no id of its own: an alias is all that names it
    return text.removeprefix(ALIAS)


def _name_in_arn(arn: str, region: str) -> str:
    fields = arn.split(":", _ARN_FIELDS - 1)
    if len(fields) != _ARN_FIELDS or fields[2] != "kms":
        raise KmsKeyNotFound(f"Invalid arn {arn}")
    if fields[3] != region:
        raise KmsKeyNotFound(f"Invalid arn {fields[3]}")
    kind, _, name = fields[5].partition("/")
    if kind not in ("key", "alias"):
        raise KmsKeyNotFound(f"Invalid arn {arn}")
    return name


def not_found(text: str) -> KmsKeyNotFound:
    """In S3's words for each form of a name."""
    if text.startswith("arn:"):
        return KmsKeyNotFound(f"Key '{text}' does not exist")
    if text.startswith(ALIAS):
        return KmsKeyNotFound(f"Alias {text} is not found.")
    return KmsKeyNotFound(f"Invalid keyId '{text}'")
