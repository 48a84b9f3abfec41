"""Doing to a bucket what its lifecycle rules decide: look through a page of versions, then change those that are due.

The look needs no lock and may be out of date. Each change is decided again in its transaction, under the key's lock and
by the rules as they are then, so an object that was written anew meanwhile, or whose rule is gone, stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cyxcloud.core.ids import BucketId, UploadId, VersionId
from cyxcloud.meta import changes, heads, lifecycle, upload_listing, uploads, versions
from cyxcloud.meta.cause import Cause
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.lifecycle import Scanned
from cyxcloud.meta.listing import past_all
from cyxcloud.meta.reads import VersionRef
from cyxcloud.meta.rows import VersionRow
from cyxcloud.objects import attributes, bucket_config, delete
from cyxcloud.objects.delete import Removal, Remover
from cyxcloud.objects.errors import ObjectsError
from cyxcloud.objects.lifecycle import (
    KEEP,
    LIFECYCLE,
    MAX_NEWER_VERSIONS,
    Action,
    Facts,
    Rules,
    abort_of,
    decide,
    prefixes,
)
from cyxcloud.objects.storage_classes import STANDARD

UPLOADS_A_PAGE = 1000
_NO_TAGS: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """After which version to go on: `newer` versions of its key were seen, itself the last, made at `mtime_ms`. With
    `newer` 0 nothing of `key` was seen."""

    key: bytes = b""
    seq: int = 0
    newer: int = 0
    mtime_ms: int = 0


START = Place()


@dataclass(frozen=True, slots=True)
class Due:
    """A version that something is to be done with, as it looked."""

    key: bytes
    version: VersionId


# What who follows a bucket is told of; it is the store itself that acts.
EXPIRED = Cause("LifecycleExpiration:Delete", "s3.amazonaws.com")
MOVED = Cause("LifecycleTransition", "s3.amazonaws.com")


@dataclass(frozen=True, slots=True)
class Page:
    """`after` None: the bucket was looked through."""

    looked_at: int
    due: tuple[Due, ...]
    after: Place | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked for: what these rules have due by then."""

    rules: Rules
    now_ms: int
    day_ms: int


def look(conn: Connection, bucket: BucketId, asked: Asked, place: Place, limit: int) -> Page:
    """The next versions of the keys that rules are about."""
    rules = asked.rules
    rows, more = _rows(conn, bucket, rules, place, limit)
    with_tags = any(rule.tags for rule in rules.rules)
    due: list[Due] = []
    for at, row in enumerate(rows):
        if row.key != place.key:
            place = Place(row.key)
        alone = place.newer == 0 and (at + 1 == len(rows) or rows[at + 1].key != row.key)
        facts = Facts(
            row.key,
            row.size,
            attributes.decode(row.attributes).tags if with_tags else _NO_TAGS,
            row.storage_class or STANDARD,
            row.mtime_ms,
            bool(row.is_delete_marker),
            place.mtime_ms if place.newer else None,
            max(0, place.newer - 1),
            alone,
        )
        if decide(rules, facts, asked.now_ms, asked.day_ms) is not KEEP:
            due.append(Due(row.key, row.id))
        place = Place(row.key, row.seq, place.newer + 1, row.mtime_ms)
    return Page(len(rows), tuple(due), place if more else None)


def _rows(conn: Connection, bucket: BucketId, rules: Rules, place: Place, limit: int) -> tuple[list[Scanned], bool]:
    rows: list[Scanned] = []
    start = place.key
    if place.newer:
        rows = lifecycle.rest_of_chain(conn, bucket, place.key, place.seq, limit)
        start = place.key + b"\x00"
    for prefix in prefixes(rules):
        if len(rows) >= limit:
            break
        if past_all(prefix) > start:
            rows += lifecycle.versions(conn, bucket, max(start, prefix), past_all(prefix), limit - len(rows))
    return rows, len(rows) >= limit


def carry_out(conn: Connection, remover: Remover, due: Sequence[tuple[Due, VersionId]]) -> int:
    """In one transaction. Gives how many were changed; what a lock holds is left. Raises BucketGone."""
    rules = bucket_config.read(conn, remover.bucket, LIFECYCLE)
    if rules is None:
        return 0
    changed = 0
    for each, new_id in due:
        try:
            changed += _carry_out(conn, remover, rules, each, new_id)
        except ObjectsError:  # raised before anything of this key was changed
            continue
    return changed


def _carry_out(conn: Connection, remover: Remover, rules: Rules, due: Due, new_id: VersionId) -> bool:
    chain, store = heads.lock(conn, remover.bucket, due.key), remover.store
    head = chain.head
    version = versions.read(conn, due.version)
    if head is None or version is None or (version.bucket, version.key) != (remover.bucket, due.key):
        return False
    facts = _facts(conn, version, is_current=head.version == version.id)
    decision = decide(rules, facts, store.clock.now_ms(), store.day_ms)
    match decision.action:
        case Action.KEEP:
            return False
        case Action.MOVE:
            lifecycle.set_storage_class(conn, remover.bucket, head, version.id, decision.storage_class)
            changes.record(conn, chain.flags, version, MOVED, store.clock.now_ms())
        case Action.EXPIRE:
            delete.remove(conn, remover, Removal(due.key), new_id)
        case Action.REMOVE:
            named = VersionRef(None if version.is_null else version.id)
            delete.remove(conn, remover, Removal(due.key, named=named), new_id)
    return True


def _facts(conn: Connection, version: VersionRow, *, is_current: bool) -> Facts:
    facts = Facts(
        version.key,
        version.size,
        attributes.decode(version.attributes).tags,
        version.storage_class or STANDARD,
        version.mtime_ms,
        version.is_delete_marker,
    )
    if is_current:
        return replace(facts, is_sole=lifecycle.is_sole(conn, version.bucket, version.key))
    above = lifecycle.newer(conn, version.bucket, version.key, version.seq, MAX_NEWER_VERSIONS + 2)
    return replace(facts, is_sole=False, successor_ms=above[0], newer_noncurrent=len(above) - 1)


def stale_uploads(conn: Connection, bucket: BucketId, asked: Asked) -> list[UploadId]:
    """Unfinished uploads that rules have aborted; few enough of a bucket to be looked through at once."""
    stale: list[UploadId] = []
    after_key, after_upload = b"", None
    while True:
        page = upload_listing.page(conn, bucket, after_key=after_key, after_upload=after_upload, limit=UPLOADS_A_PAGE)
        for row in page.uploads:
            abort = abort_of(asked.rules, row.key, row.created_at_ms, asked.day_ms)
            if abort is not None and abort[0] <= asked.now_ms:
                stale.append(row.id)
        if not page.truncated or page.next_key is None:
            return stale
        after_key, after_upload = page.next_key, page.next_upload


def abort(conn: Connection, bucket: BucketId, stale: Sequence[UploadId], now_ms: int) -> int:
    """In one transaction, unless the rules are gone."""
    if bucket_config.read(conn, bucket, LIFECYCLE) is None:
        return 0
    return sum(uploads.abort(conn, upload, now_ms) for upload in stale)
