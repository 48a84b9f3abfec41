from __future__ import annotations

import pytest

from cyxcloud.core.ids import VersionId
from cyxcloud.meta.reads import VersionRef
from s3gw.errors import Code, S3Error
from s3gw.version_ids import named_version, parse_version_id, version_text


@pytest.mark.parametrize("version", [VersionId(1 << 32 | 1), VersionId((1 << 63) - 1), None])
def test_version_text_is_parsed_back(version: VersionId | None) -> None:
    assert parse_version_id(version_text(version)) == version


@pytest.mark.parametrize(
    "text", ["", "7", "Null", "000000010000000g", "0000000100000001 ", "ffffffffffffffff", "x" * 16]
)
def test_parse_version_id_refuses_what_was_never_given_out(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_version_id(text)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.fields == {"argument_name": "versionId", "argument_value": text}


def test_named_version_tells_null_from_none() -> None:
    assert named_version({}) is None
    assert named_version({"versionId": "null"}) == VersionRef(None)
    assert named_version({"versionId": "0000000100000002"}) == VersionRef(VersionId(1 << 32 | 2))
