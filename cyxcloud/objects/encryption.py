"""Under whose key an object lies: the keyring's (SSE-S3, which every object gets), a named one, or its customer's.

A `Sealing` is that choice for new blobs; every path that takes bytes in carries one. Whoever reads hands in the
customer's key with the view. A customer's key is never stored: what is kept of it is a salted HMAC, by which a wrong
one is refused before a byte is read. ETags of what is not under the keyring say nothing of the content, as S3's do.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from cyxcloud.core import keywrap
from cyxcloud.core.ids import BlobId
from cyxcloud.core.keywrap import Mode
from cyxcloud.meta.rows import SegmentRow
from cyxcloud.objects.attributes import Encryption
from cyxcloud.objects.bucket_config import ConfigKey
from cyxcloud.objects.errors import InvalidRequest, KmsKeyNotFound
from cyxcloud.objects.key_names import default_arn, key_name, not_found
from cyxcloud.objects.store import Store

AES256 = "AES256"
KMS = "aws:kms"
SALT_BYTES = 16
NO_KEY_ID = 0

_NEEDED = (
    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve "
    "the object."
)
_NOT_APPLICABLE = "The encryption parameters are not applicable to this object."
MISMATCH = "The provided encryption parameters did not match the ones used originally."


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """The 256 bits of an SSE-C request, for as long as the request lasts."""

    secret: bytes = field(repr=False)

    def proof(self, salt: bytes | None = None) -> str:
        """What is kept to know the key again."""
        salt = salt or os.urandom(SALT_BYTES)
        return b64encode(salt + hmac.digest(self.secret, salt, hashlib.sha256)).decode()

    def matches(self, proof: str) -> bool:
        return hmac.compare_digest(self.proof(b64decode(proof)[:SALT_BYTES]), proof)


@dataclass(frozen=True, slots=True)
class Sealing:
    """`encryption` is what the version says of itself, None for SSE-S3. `key_id` is the named key's number."""

    mode: Mode = Mode.SSE_S3
    encryption: Encryption | None = None
    key_id: int = NO_KEY_ID
    customer: CustomerKey | None = field(default=None, repr=False)


BY_KEYRING = Sealing()


@dataclass(frozen=True, slots=True)
class BucketEncryption:
    """What new objects of a bucket get that ask for nothing: `algorithm` AES256 or aws:kms, `key` as it was named."""

    algorithm: str = AES256
    key: str = ""
    bucket_key: bool | None = None
    blocks_customer_keys: bool = False


BUCKET_ENCRYPTION = ConfigKey("encryption", BucketEncryption)


def under_customer_key(key: CustomerKey) -> Sealing:
    return Sealing(Mode.SSE_C, Encryption(AES256, key.proof(), is_customer=True), customer=key)


async def under_named_key(store: Store, encryption: Encryption, region: str) -> Sealing:
    """Raises KmsKeyNotFound, KmsKeyDisabled."""
    name = key_name(encryption.key, region)
    try:
        key = await store.kms.find(name)
    except KmsKeyNotFound:
        raise not_found(encryption.key) from None
    return Sealing(Mode.SSE_KMS, encryption, key.number)


async def by_default(store: Store, configured: BucketEncryption | None, region: str) -> Sealing:
    """For a new object that asks for nothing. Raises KmsKeyNotFound, KmsKeyDisabled."""
    if configured is None or configured.algorithm == AES256:
        return BY_KEYRING
    key = configured.key or default_arn(region)
    return await under_named_key(store, Encryption(KMS, key, bucket_key=bool(configured.bucket_key)), region)


def wrap(store: Store, sealing: Sealing, blob: BlobId, dek: bytes) -> tuple[int, bytes]:
    """A data key for its row: the id of the key that it is under, and the wrapped key."""
    if sealing.mode is Mode.SSE_S3:
        return store.wrapping.wrap(blob, Mode.SSE_S3, dek)
    if sealing.mode is Mode.SSE_KMS:
        return sealing.key_id, store.kms.wrap(sealing.key_id, blob, dek)
    assert sealing.customer is not None
    return NO_KEY_ID, keywrap.wrap(sealing.customer.secret, blob, Mode.SSE_C, dek)


def unwrap(store: Store, segment: SegmentRow, customer: CustomerKey | None) -> bytes:
    """A segment's data key. Raises KmsKeyDisabled; `customer` was proven against the version before."""
    if segment.mode == Mode.SSE_S3:
        return store.wrapping.unwrap(segment.key_id, segment.blob, Mode.SSE_S3, segment.dek)
    if segment.mode == Mode.SSE_KMS:
        return store.kms.unwrap(segment.key_id, segment.blob, segment.dek)
    if customer is None:
        raise InvalidRequest(_NEEDED)
    return keywrap.unwrap(customer.secret, segment.blob, Mode.SSE_C, segment.dek)


def etag(sealing: Sealing, dek: bytes, md5: bytes) -> str:
    """The MD5 under the keyring; else a value of its form that nobody computes without the key. The same bytes under
    the same customer's key give the same, so that a part that is sent again keeps its ETag."""
    if sealing.mode is Mode.SSE_S3:
        return md5.hex()
    secret = dek if sealing.customer is None else sealing.customer.secret
    return hmac.digest(secret, b"etag" + md5, hashlib.sha256)[:16].hex()


def shares_key(sealing: Sealing, segments: tuple[SegmentRow, ...]) -> bool:
    """Whether new segments of these blobs may stand under the same wrapped keys as these. Two customers' keys are never
    taken to be the same; any of the keyring's own versions is as good as another."""
    return all(
        not each.length
        or (
            each.mode == sealing.mode
            and sealing.mode is not Mode.SSE_C
            and (sealing.mode is Mode.SSE_S3 or each.key_id == sealing.key_id)
        )
        for each in segments
    )


def check_customer_key(kept: Encryption | None, given: CustomerKey | None) -> None:
    """For a read: the key is the one that the version was stored with, and there where one is needed. Raises
    InvalidRequest."""
    is_customers = kept is not None and kept.is_customer
    if given is None:
        if is_customers:
            raise InvalidRequest(_NEEDED)
        return
    if kept is None or not is_customers:
        raise InvalidRequest(_NOT_APPLICABLE)
    if not given.matches(kept.key):
        raise InvalidRequest(MISMATCH)
