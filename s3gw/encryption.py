"""What a request says of encryption, joined with what its bucket does by default and how the object was stored.

An object's own headers win over its bucket's default. A multipart upload decides once, when it begins; with SSE-C the
same key comes with each of its parts. Whoever reads an object under a customer's key has to give that key again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cyxcloud.meta.rows import UploadRow
from cyxcloud.objects import multipart
from cyxcloud.objects.attributes import Encryption
from cyxcloud.objects.encryption import (
    AES256,
    BUCKET_ENCRYPTION,
    BY_KEYRING,
    KMS,
    MISMATCH,
    BucketEncryption,
    Sealing,
    check_customer_key,
    under_customer_key,
    under_named_key,
)
from cyxcloud.objects.get import ObjectView
from cyxcloud.objects.key_names import default_arn
from s3gw import customer_keys
from s3gw.context import RequestContext
from s3gw.customer_keys import SSE, customer_key, invalid
from s3gw.errors import Code, S3Error, not_implemented
from s3gw.named_keys import BUCKET_KEY, CONTEXT, KEY_ID, bucket_key, check_context

_BY_DEFAULT = BucketEncryption()
_CUSTOMERS = frozenset(customer_keys.OWN)
_ASKS = frozenset({SSE, KEY_ID, CONTEXT, *customer_keys.OWN})
_KMS_NEEDS = f"Server Side Encryption with AWS KMS managed key requires HTTP header {SSE} : {KMS}"
_BOTH = "Server Side Encryption with Customer provided key is incompatible with the encryption method specified"
_PART_NEEDS = (
    "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate "
    "encryption parameters."
)


async def sealing_of_new(ctx: RequestContext) -> Sealing:
    """For a new object, or an upload that begins: what the request asks for, else what its bucket does."""
    by_default = ctx.config.get(BUCKET_ENCRYPTION)
    if _ASKS.isdisjoint(ctx.headers) and by_default is None:
        return BY_KEYRING
    return await _sealing(ctx, by_default or _BY_DEFAULT)


async def _sealing(ctx: RequestContext, by_default: BucketEncryption) -> Sealing:
    headers = ctx.headers
    method = headers.get(SSE)
    if customer_keys.is_named(headers):
        if method is not None:
            raise invalid(_BOTH, method)
        return _under_customers(ctx, by_default)
    if method != KMS and (KEY_ID in headers or CONTEXT in headers):
        raise invalid(_KMS_NEEDS, method or "null")
    if method == AES256 or (method is None and by_default.algorithm == AES256):
        return BY_KEYRING
    if method is None:
        return await _under_named(ctx, by_default.key, by_default)
    if method == f"{KMS}:dsse":
        raise not_implemented(Code.NOT_IMPLEMENTED.message, header=SSE)
    if method != KMS:
        raise invalid("The encryption method specified is not supported", method)
    return await _under_named(ctx, headers.get(KEY_ID, ""), by_default)


def _under_customers(ctx: RequestContext, by_default: BucketEncryption) -> Sealing:
    key = customer_key(ctx.headers)
    assert key is not None
    if by_default.blocks_customer_keys:
        raise S3Error(
            Code.ACCESS_DENIED,
            "This bucket has blocked upload requests that specify Server Side Encryption with Customer provided keys "
            "(SSE-C). Please specify a different server-side encryption type",
        )
    return under_customer_key(key)


async def _under_named(ctx: RequestContext, named: str, by_default: BucketEncryption) -> Sealing:
    context, wish = ctx.headers.get(CONTEXT, ""), ctx.headers.get(BUCKET_KEY)
    if context:
        check_context(context)
    shown = named or default_arn(ctx.region)
    uses_bucket_key = bool(by_default.bucket_key) if wish is None else bucket_key(wish)
    encryption = Encryption(KMS, shown, context=context, bucket_key=uses_bucket_key)
    return await under_named_key(ctx.store, encryption, ctx.region)


def of_upload(upload: UploadRow) -> Encryption | None:
    return multipart.begun_with(upload).encryption


async def sealing_of_part(ctx: RequestContext, upload: UploadRow) -> Sealing:
    """As the upload began. What a part says of SSE-S3 or SSE-KMS changes nothing: clients that send the headers of the
    object with each part are served."""
    begun, key = of_upload(upload), customer_key(ctx.headers)
    if begun is None or not begun.is_customer:
        if key is not None:
            raise S3Error(Code.INVALID_REQUEST, _PART_NEEDS)
        return BY_KEYRING if begun is None else await under_named_key(ctx.store, begun, ctx.region)
    if key is None:
        raise S3Error(Code.INVALID_REQUEST, _PART_NEEDS)
    if not key.matches(begun.key):
        raise S3Error(Code.INVALID_REQUEST, MISMATCH)
    return Sealing(under_customer_key(key).mode, begun, customer=key)


def check_key_of_upload(ctx: RequestContext, upload: UploadRow) -> None:
    """For completing or listing: S3 needs the key again only where checksums have to be read."""
    begun, key = of_upload(upload), customer_key(ctx.headers)
    if key is None and (begun is None or not multipart.has_checksums(ctx.store, upload)):
        return
    check_customer_key(begun, key)


def unlocked(ctx: RequestContext, view: ObjectView) -> ObjectView:
    """The view that may be read, or described: with its customer's key where it has one."""
    headers = ctx.headers
    if SSE in headers:
        raise invalid(f"{SSE} header is not supported for this operation.", headers[SSE])
    kept = view.attributes.encryption
    if kept is None and _CUSTOMERS.isdisjoint(headers):
        return view
    key = customer_key(headers)
    check_customer_key(kept, key)
    return view if key is None else replace(view, customer=key)


def unlocked_source(ctx: RequestContext, view: ObjectView) -> ObjectView:
    """The same of a copy's source, whose key has headers of its own."""
    key = customer_key(ctx.headers, customer_keys.SOURCE)
    check_customer_key(view.attributes.encryption, key)
    return view if key is None else replace(view, customer=key)


def is_asked(headers: Mapping[str, str]) -> bool:
    """Whether a copy onto itself changes something of how it is encrypted."""
    return not _ASKS.isdisjoint(headers)


def answer(headers: Mapping[str, str], encryption: Encryption | None, *, context: bool = False) -> dict[str, str]:
    """What an answer says of an object's, upload's or part's encryption. The context is told to writers alone."""
    if encryption is None:
        return {SSE: AES256}
    if encryption.is_customer:
        return customer_keys.answered(headers)
    shown = {SSE: encryption.algorithm, KEY_ID: encryption.key}
    if encryption.bucket_key:
        shown[BUCKET_KEY] = "true"
    if context and encryption.context:
        shown[CONTEXT] = encryption.context
    return shown
