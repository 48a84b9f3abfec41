"""ListObjectVersions: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html"""

from __future__ import annotations

from cyxcloud.core.ids import AccountId
from cyxcloud.meta.reads import VersionRef
from cyxcloud.meta.version_listing import ListedVersion
from cyxcloud.objects import listing, ownership
from cyxcloud.objects.ownership import Ownership
from s3gw import xml
from s3gw.context import RequestContext, Response, xml_response
from s3gw.documents import Owner, VersionLine, VersionPage
from s3gw.errors import Code, S3Error
from s3gw.parameters import page_size, wants_url_encoding
from s3gw.people import owner_named
from s3gw.version_ids import parse_version_id, version_text

_MARKER = "version-id-marker"


async def list_object_versions(ctx: RequestContext) -> Response:
    query, limit = ctx.query, page_size(ctx.query, "max-keys")
    found = listing.versions_page(
        ctx.store,
        ctx.bucket.id,
        prefix=query.get("prefix", "").encode(),
        delimiter=query.get("delimiter", "").encode(),
        after_key=query.get("key-marker", "").encode(),
        after_version=_after_version(ctx),
        limit=limit,
    )
    owners = _owners(ctx, {each.account for each in found.versions})
    page = VersionPage(
        bucket=ctx.bucket.name,
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        key_marker=query.get("key-marker", ""),
        version_id_marker=query.get(_MARKER, ""),
        max_keys=limit,
        truncated=found.truncated,
        lines=[_line(each, owners[each.account]) for each in found.versions],
        common_prefixes=found.prefixes,
        next_key_marker=found.next_key,
        next_version_id_marker="" if found.next_version is None else version_text(found.next_version.id),
        url_encode=wants_url_encoding(query),
    )
    return xml_response(xml.list_versions(page))


def _after_version(ctx: RequestContext) -> VersionRef | None:
    text = ctx.query.get(_MARKER)
    if text is None or (not text and not ctx.query.get("key-marker")):
        return None
    if not ctx.query.get("key-marker"):
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "A version-id marker cannot be specified without a key marker.",
            argument_name=_MARKER,
            argument_value=text,
        )
    if not text:
        raise S3Error(
            Code.INVALID_ARGUMENT,
            "A version-id marker cannot be empty.",
            argument_name=_MARKER,
            argument_value=text,
        )
    return VersionRef(parse_version_id(text, _MARKER))


def _line(each: ListedVersion, owner: Owner) -> VersionLine:
    return VersionLine(
        each.key,
        version_text(None if each.is_null else each.id),
        bool(each.is_delete_marker),
        each.is_latest,
        each.mtime_ms,
        each.etag,
        each.size,
        each.storage_class,
        each.checksum,
        owner,
    )


def _owners(ctx: RequestContext, accounts: set[AccountId]) -> dict[AccountId, Owner]:
    """As the bucket's rule of ownership has it, whoever wrote the version."""
    if ownership.rule_of(ctx.config) is Ownership.BUCKET_OWNER_ENFORCED:
        return dict.fromkeys(accounts, owner_named(ctx.store, ctx.bucket.account))
    return {account: owner_named(ctx.store, account) for account in accounts}
