"""Headers that are understood in name but whose feature is not there: refused by value, never ignored (pure).

An object that was to be encrypted under the client's key, locked or tagged must not be stored as if nothing was asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3gw.errors import Code, not_implemented
from s3gw.operations import Operation, words

# Header -> the values, in lower case, that ask for nothing beyond what every object gets. All others are refused.
_ASKS_FOR_NOTHING: dict[str, frozenset[str]] = {
    "x-amz-bucket-namespace": words("global"),
}


def refuse_unbuilt(operation: Operation, headers: Mapping[str, str]) -> None:
    """`headers` by lower-case name. Raises NotImplemented, naming the first header that asks for what is not there."""
    for name in headers:
        if name[:6] != "x-amz-":
            continue
        allowed = _ASKS_FOR_NOTHING.get(name)
        if allowed is None:
            continue
        if name in operation.headers and headers[name].strip().lower() not in allowed:
            raise not_implemented(Code.NOT_IMPLEMENTED.message, header=name)
