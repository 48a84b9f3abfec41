from __future__ import annotations

import zlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core import checksums
from cyxcloud.core.checksums import Algorithm
from cyxcloud.objects.attributes import Checksum, PartInfo
from cyxcloud.objects.errors import ChecksumMismatch, InvalidPart, InvalidRequest
from cyxcloud.objects.part_checksums import COMPOSITE, FULL_OBJECT, ChecksumPlan, allowed, default_type, of_whole

CRCS = [Algorithm.CRC32, Algorithm.CRC32C, Algorithm.CRC64NVME]


def parts_of(algorithm: Algorithm, bodies: list[bytes]) -> list[PartInfo]:
    return [
        PartInfo(number, len(body), checksums.encode_digest(checksums.compute(algorithm, body)))
        for number, body in enumerate(bodies, 1)
    ]


@pytest.mark.parametrize("algorithm", CRCS)
@given(bodies=st.lists(st.binary(max_size=50), min_size=1, max_size=5))
def test_a_full_object_crc_is_that_of_all_bytes(algorithm: Algorithm, bodies: list[bytes]) -> None:
    found = of_whole(ChecksumPlan(algorithm.value, FULL_OBJECT), parts_of(algorithm, bodies), None)
    whole = checksums.encode_digest(checksums.compute(algorithm, b"".join(bodies)))
    assert found == Checksum(algorithm.value, whole, FULL_OBJECT)


def test_a_composite_is_the_hash_of_hashes_and_their_number() -> None:
    bodies = [b"one", b"two", b"three"]
    joined = b"".join(zlib.crc32(body).to_bytes(4, "big") for body in bodies)
    expected = f"{b64encode(zlib.crc32(joined).to_bytes(4, 'big')).decode()}-3"
    found = of_whole(ChecksumPlan("CRC32", COMPOSITE), parts_of(Algorithm.CRC32, bodies), None)
    assert found == Checksum("CRC32", expected, COMPOSITE)


@pytest.mark.parametrize("kind", [COMPOSITE, FULL_OBJECT])
def test_what_the_client_claims_is_compared(kind: str) -> None:
    plan, parts = ChecksumPlan("CRC32", kind), parts_of(Algorithm.CRC32, [b"one", b"two"])
    right = of_whole(plan, parts, None)
    assert right is not None
    for value in {right.value, right.value.partition("-")[0]}:
        assert of_whole(plan, parts, Checksum("CRC32", value)) == right
    for wrong in (Checksum("CRC32", "AAAAAA=="), Checksum("CRC32C", right.value), Checksum("CRC32", "bad")):
        with pytest.raises(ChecksumMismatch):
            of_whole(plan, parts, wrong)


def test_without_a_plan_there_is_none_and_none_may_be_claimed() -> None:
    parts = parts_of(Algorithm.CRC32, [b"one"])
    assert of_whole(ChecksumPlan(), parts, None) is None
    with pytest.raises(InvalidRequest):
        of_whole(ChecksumPlan(), parts, Checksum("CRC32", parts[0].checksum))


@pytest.mark.parametrize("value", ["", "AAAA", "nonsense"])
def test_a_part_without_its_checksum_is_refused(value: str) -> None:
    with pytest.raises(InvalidPart):
        of_whole(ChecksumPlan("CRC32", COMPOSITE), [PartInfo(1, 3, value)], None)


def test_which_kinds_go_together() -> None:
    assert {
        (each, kind) for each in Algorithm for kind in (COMPOSITE, FULL_OBJECT, "OTHER") if allowed(each, kind)
    } == {
        (Algorithm.CRC32, COMPOSITE),
        (Algorithm.CRC32C, COMPOSITE),
        (Algorithm.SHA1, COMPOSITE),
        (Algorithm.SHA256, COMPOSITE),
        *((crc, FULL_OBJECT) for crc in CRCS),
    }
    assert all(allowed(each, default_type(each)) for each in Algorithm)
