"""Whose key wraps a data key, what is kept of a customer's, and when two objects may share their bytes."""

from __future__ import annotations

from dataclasses import replace
from hashlib import md5

import pytest

from cyxcloud.core.ids import BlobId
from cyxcloud.core.keywrap import Mode, WrongKey
from cyxcloud.meta.rows import SegmentRow
from cyxcloud.objects import encryption
from cyxcloud.objects.attributes import Encryption
from cyxcloud.objects.encryption import (
    BY_KEYRING,
    MISMATCH,
    CustomerKey,
    Sealing,
    check_customer_key,
    shares_key,
    under_customer_key,
)
from cyxcloud.objects.errors import InvalidRequest

KEY, OTHER = CustomerKey(bytes(range(32))), CustomerKey(bytes(range(1, 33)))
BLOB, DEK = BlobId(5), b"d" * 32
NAMED = Sealing(Mode.SSE_KMS, Encryption("aws:kms", "payroll"), key_id=7)


def _segment(mode: Mode, key_id: int, length: int = 10) -> SegmentRow:
    return SegmentRow(BLOB, 0, length, b"w" * 40, key_id, mode, b"c" * 36)


def test_a_customers_key_is_known_again_by_what_is_kept_of_it() -> None:
    proof = KEY.proof()
    assert KEY.matches(proof)
    assert not OTHER.matches(proof)
    assert KEY.proof() != proof


def test_a_customers_key_is_in_no_text() -> None:
    sealing = under_customer_key(KEY)
    for text in (repr(KEY), repr(sealing), str(sealing)):
        assert repr(KEY.secret)[2:-1] not in text
        assert KEY.secret.hex() not in text
    assert "secret" not in repr(KEY)


@pytest.mark.parametrize(
    ("sealing", "mode", "key_id", "shared"),
    [
        (BY_KEYRING, Mode.SSE_S3, 1, True),
        (BY_KEYRING, Mode.SSE_S3, 2, True),
        (BY_KEYRING, Mode.SSE_KMS, 7, False),
        (BY_KEYRING, Mode.SSE_C, 0, False),
        (NAMED, Mode.SSE_KMS, 7, True),
        (NAMED, Mode.SSE_KMS, 8, False),
        (NAMED, Mode.SSE_S3, 7, False),
        (under_customer_key(KEY), Mode.SSE_C, 0, False),
        (under_customer_key(KEY), Mode.SSE_S3, 1, False),
    ],
)
def test_shares_key_of_each_pair(sealing: Sealing, mode: Mode, key_id: int, *, shared: bool) -> None:
    assert shares_key(sealing, (_segment(mode, key_id),)) is shared
    assert shares_key(sealing, (_segment(mode, key_id, 0),))
    whole = (_segment(Mode.SSE_S3, 1), _segment(mode, key_id))
    assert shares_key(sealing, whole) is (shared and sealing is BY_KEYRING)


def test_etag_is_the_md5_under_the_keyring_alone() -> None:
    digest = md5(b"text", usedforsecurity=False).digest()
    assert encryption.etag(BY_KEYRING, DEK, digest) == digest.hex()
    customers = encryption.etag(under_customer_key(KEY), DEK, digest)
    assert len(customers) == 32
    assert customers not in (digest.hex(), encryption.etag(under_customer_key(OTHER), DEK, digest))
    assert customers == encryption.etag(under_customer_key(KEY), b"e" * 32, digest)
    assert encryption.etag(NAMED, DEK, digest) not in (digest.hex(), encryption.etag(NAMED, b"e" * 32, digest))


def test_unwrap_of_a_customers_segment_needs_that_very_key() -> None:
    key_id, wrapped = encryption.wrap(None, under_customer_key(KEY), BLOB, DEK)  # type: ignore[arg-type]
    segment = _segment(Mode.SSE_C, key_id)._replace(dek=wrapped)
    assert encryption.unwrap(None, segment, KEY) == DEK  # type: ignore[arg-type]
    with pytest.raises(WrongKey):
        encryption.unwrap(None, segment, OTHER)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="must be provided"):
        encryption.unwrap(None, segment, None)  # type: ignore[arg-type]


def test_check_customer_key_of_each_mistake() -> None:
    kept = under_customer_key(KEY).encryption
    check_customer_key(None, None)
    check_customer_key(NAMED.encryption, None)
    check_customer_key(kept, KEY)
    with pytest.raises(InvalidRequest, match="correct parameters must be provided"):
        check_customer_key(kept, None)
    with pytest.raises(InvalidRequest, match=MISMATCH):
        check_customer_key(kept, OTHER)
    for other in (None, NAMED.encryption):
        with pytest.raises(InvalidRequest, match="not applicable"):
            check_customer_key(other, KEY)


def test_a_sealing_keeps_its_key_when_it_is_changed() -> None:
    assert replace(under_customer_key(KEY), key_id=0).customer == KEY
