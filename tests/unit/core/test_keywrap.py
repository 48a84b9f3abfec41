from __future__ import annotations

import pytest

from cyxcloud.core.ids import BlobId
from cyxcloud.core.keywrap import WRAPPED_BYTES, Mode, WrongKey, derive, unwrap, wrap

KEY, DEK = bytes(range(32)), bytes(range(32, 64))
BLOB = BlobId(0x0000_0007_0000_002A)

GOLDEN = {
    Mode.SSE_S3: "ed6a284308dfe86fc8fdcf1d072c6ee110593dc150d4b347f08bd70452aa360e2d28fbe858cbed1b",
    Mode.SSE_KMS: "f72e67dcc3f176ceb9d5b4b4614518e9340157f9f9386fe91e1c8e6b5648a7ce2f1433e0d5982bb3",
    Mode.SSE_C: "fe0a7d976040de374717b67e432c132336f83d48041658490591aa727f8964cb0dd798cf74bb0c2d",
    Mode.CLIENT: "8fbb46ddd96caf3f150c89af789dc434c55ab0ef77a04838b90b4fd706eb80ff4ede65610a7d0748",
}


@pytest.mark.parametrize("mode", list(Mode))
def test_golden_wrapped_key(mode: Mode) -> None:
    """Rows hold these bytes: another derivation would lose every blob."""
    assert wrap(KEY, BLOB, mode, DEK).hex() == GOLDEN[mode]
    assert unwrap(KEY, BLOB, mode, bytes.fromhex(GOLDEN[mode])) == DEK


def test_mode_numbers_stand_in_rows() -> None:
    assert {mode.name: mode.value for mode in Mode} == {"SSE_S3": 1, "SSE_KMS": 2, "SSE_C": 3, "CLIENT": 4}


def test_derivation_is_hkdf_sha256() -> None:
    """RFC 5869, test case 3 (no salt, no info), its first 32 bytes; case 1 with both."""
    assert derive(bytes([0x0B] * 22), b"").hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    salt, info = bytes(range(13)), bytes(range(0xF0, 0xFA))
    assert (
        derive(bytes([0x0B] * 22), info, salt).hex()
        == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
    )


def test_opens_only_where_it_belongs() -> None:
    wrapped = wrap(KEY, BLOB, Mode.SSE_S3, DEK)
    assert len(wrapped) == WRAPPED_BYTES
    flipped = bytes([wrapped[0] ^ 1]) + wrapped[1:]
    for key, blob, mode, sealed in (
        (bytes(32), BLOB, Mode.SSE_S3, wrapped),
        (KEY, BlobId(BLOB + 1), Mode.SSE_S3, wrapped),
        (KEY, BLOB, Mode.SSE_C, wrapped),
        (KEY, BLOB, Mode.SSE_S3, flipped),
        (KEY, BLOB, Mode.SSE_S3, wrapped[:-8]),
        (KEY, BLOB, Mode.SSE_S3, b""),
    ):
        with pytest.raises(WrongKey):
            unwrap(key, blob, mode, sealed)
