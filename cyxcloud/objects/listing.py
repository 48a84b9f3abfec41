"""Pages of keys, versions, uploads and parts: index ranges, so their cost does not depend on the bucket's size."""

from __future__ import annotations

from cyxcloud.core.ids import BucketId, UploadId
from cyxcloud.meta import listing, parts, upload_listing, version_listing
from cyxcloud.meta.reads import VersionRef
from cyxcloud.meta.rows import Listing as Page
from cyxcloud.meta.rows import PartRow
from cyxcloud.meta.upload_listing import UploadListing
from cyxcloud.meta.version_listing import VersionListing
from cyxcloud.objects.store import Store

__all__ = ["Page", "UploadListing", "VersionListing", "page", "parts_page", "uploads_page", "versions_page"]


def page(store: Store, bucket: BucketId, *, prefix: bytes, delimiter: bytes, after: bytes, limit: int) -> Page:
    """Keys and common prefixes after `after`, in byte order, together at most `limit`."""
    return listing.page(store.reader, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit)


def versions_page(
    store: Store,
    bucket: BucketId,
    *,
    prefix: bytes,
    delimiter: bytes,
    after_key: bytes,
    after_version: VersionRef | None,
    limit: int,
) -> VersionListing:
    return version_listing.page(
        store.reader,
        bucket,
        prefix=prefix,
        delimiter=delimiter,
        after_key=after_key,
        after_version=after_version,
        limit=limit,
    )


def uploads_page(
    store: Store,
    bucket: BucketId,
    *,
    prefix: bytes,
    delimiter: bytes,
    after_key: bytes,
    after_upload: UploadId | None,
    limit: int,
) -> UploadListing:
    return upload_listing.page(
        store.reader,
        bucket,
        prefix=prefix,
        delimiter=delimiter,
        after_key=after_key,
        after_upload=after_upload,
        limit=limit,
    )


def parts_page(store: Store, upload: UploadId, *, after: int, limit: int) -> tuple[list[PartRow], bool]:
    return parts.page(store.reader, upload, after=after, limit=limit)
