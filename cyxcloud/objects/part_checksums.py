"""How the checksum of a multipart object comes from those of its parts (pure).

COMPOSITE: the hash of the parts' hashes, written `base64-N`. FULL_OBJECT: the CRC of all bytes, combined from the
parts' CRCs by their lengths, without reading anything. Only CRCs combine, so SHA1 and SHA256 are composite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyxcloud.core import checksums
from cyxcloud.core.checksums import Algorithm
from cyxcloud.objects.attributes import Checksum, PartInfo
from cyxcloud.objects.errors import ChecksumMismatch, InvalidPart, InvalidRequest

COMPOSITE = "COMPOSITE"
FULL_OBJECT = "FULL_OBJECT"


@dataclass(frozen=True, slots=True)
class ChecksumPlan:
    """What CreateMultipartUpload asked for; no algorithm, no checksum."""

    algorithm: str = ""
    type: str = ""


def default_type(algorithm: Algorithm) -> str:
    """What S3 takes where the client names no type: CRC64NVME exists only for whole objects."""
    return FULL_OBJECT if algorithm is Algorithm.CRC64NVME else COMPOSITE


def allowed(algorithm: Algorithm, kind: str) -> bool:
    if kind == COMPOSITE:
        return algorithm is not Algorithm.CRC64NVME
    return kind == FULL_OBJECT and algorithm.is_crc


def of_whole(plan: ChecksumPlan, parts: Sequence[PartInfo], expected: Checksum | None) -> Checksum | None:
    """Raises InvalidPart where a part lacks its checksum, ChecksumMismatch where the client claimed another value."""
    if not plan.algorithm:
        if expected is not None:
            raise InvalidRequest("The upload was begun without a checksum algorithm, so it has no checksum to compare.")
        return None
    algorithm = Algorithm(plan.algorithm)
    digests = []
    for part in parts:
        digest = checksums.decode_digest(part.checksum, algorithm.digest_bytes)
        if digest is None:
            raise InvalidPart(f"part {part.number} has no {plan.algorithm}")
        digests.append(digest)
    if plan.type == COMPOSITE:
        value = checksums.composite(algorithm, digests)
    else:
        sizes = [part.size for part in parts]
        value = checksums.encode_digest(checksums.combine(algorithm, zip(digests, sizes, strict=True)))
    if expected is not None and not _same(expected, plan.algorithm, value):
        raise ChecksumMismatch(plan.algorithm)
    return Checksum(plan.algorithm, value, plan.type)


def _same(expected: Checksum, algorithm: str, value: str) -> bool:
    """A client may leave the number of parts off a composite checksum that it claims."""
    return expected.algorithm == algorithm and expected.value in (value, value.partition("-")[0])
