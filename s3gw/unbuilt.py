"""Headers that are understood in name but whose feature is not there: refused by value, never ignored (pure).

An object that was to be encrypted under the client's key, locked or tagged must not be stored as if nothing was asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3gw.errors import Code, S3Error, not_implemented
from s3gw.operations import Operation, Target, words

_SSE = "x-amz-server-side-encryption"
_CIPHERS = words("aes256 aws:kms aws:kms:dsse aws:fsx")
_NO = frozenset(("", "false"))

# Header -> the values, in lower case, that ask for nothing beyond what every object gets. All others are refused.
_ASKS_FOR_NOTHING: dict[str, frozenset[str]] = {
    "x-amz-bucket-namespace": words("global"),
    _SSE: words("aes256"),
    f"{_SSE}-bucket-key-enabled": _NO,
} | dict.fromkeys(
    words(
        f"""{_SSE}-aws-kms-key-id {_SSE}-context
        {_SSE}-customer-algorithm {_SSE}-customer-key {_SSE}-customer-key-md5
        x-amz-copy-source-server-side-encryption-customer-algorithm
        x-amz-copy-source-server-side-encryption-customer-key
        x-amz-copy-source-server-side-encryption-customer-key-md5"""
    ),
    frozenset[str](),
)


def refuse_unbuilt(operation: Operation, headers: Mapping[str, str]) -> None:
    """`headers` by lower-case name. Raises NotImplemented, naming the first header that asks for what is not there."""
    cipher = headers.get(_SSE)
    if cipher is not None and cipher.strip().lower() not in _CIPHERS:
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "The encryption method specified is not supported",
            argument_name=_SSE,
            argument_value=cipher,
        )
    for name in headers:
        if name[:6] != "x-amz-":
            continue
        allowed = _ASKS_FOR_NOTHING.get(name)
        if allowed is None:
            continue
        if name == _SSE and not operation.mutating and operation.target is Target.OBJECT:
            raise S3Error(
                Code.INVALID_ARGUMENT,
                f"{_SSE} header is not supported for this operation.",
                argument_name=_SSE,
                argument_value=headers[name],
            )
        if name in operation.headers and headers[name].strip().lower() not in allowed:
            raise not_implemented(Code.NOT_IMPLEMENTED.message, header=name)
