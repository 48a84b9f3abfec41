"""Version ids as clients see them: sixteen hex digits of the number that the store gave, "null" for a null version."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cyxcloud.core.ids import VersionId
from cyxcloud.meta.reads import NULL_VERSION, VersionRef
from s3gw.errors import Code, S3Error

VERSION_ID = "versionId"
NULL_TEXT = "null"
_TEXT = re.compile(r"[0-7][0-9a-f]{15}").fullmatch


def version_text(version: VersionId | None) -> str:
    return NULL_TEXT if version is None else f"{version:016x}"


def parse_version_id(text: str, parameter: str = VERSION_ID) -> VersionId | None:
    """None is the null version. Raises InvalidArgument for what was never given out."""
    if text == NULL_TEXT:
        return None
    if not _TEXT(text):
        message = "Invalid version id specified" if text else "Version id cannot be the empty string"
        raise S3Error(Code.INVALID_ARGUMENT, message, argument_name=parameter, argument_value=text)
    return VersionId(int(text, 16))


def version_ref(text: str | None) -> VersionRef | None:
    """The version that a request names; None where it names none and means the current one."""
    if text is None:
        return None
    version = parse_version_id(text)
    return NULL_VERSION if version is None else VersionRef(version)


def named_version(query: Mapping[str, str]) -> VersionRef | None:
    return version_ref(query[VERSION_ID]) if VERSION_ID in query else None
