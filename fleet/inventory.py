"""Inventories: lists of what a bucket holds, as files in another bucket, by schedule.

A report is made file by file. After each, where the listing stands is noted beside the files so far, and a coordinator
that starts anew goes on there; a file that was written but not noted is written again under the same name. The
manifest comes after all data files and its checksum last, so a report with a checksum is whole. It is not one moment
of the bucket: each key is listed as it was when the listing passed it, once.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from functools import cache
from hashlib import md5

import structlog

from cyxcloud.core.ids import AccountId, BucketId
from cyxcloud.core.worker import Did, Idle
from cyxcloud.meta import accounts, bucket_config, bucket_work, buckets, inventory
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.inventory import Listed, Place
from cyxcloud.meta.rows import BucketRow, Versioning
from cyxcloud.meta.writer import Writer
from cyxcloud.objects import bucket_config as configs
from cyxcloud.objects import delivery_rights
from cyxcloud.objects.attributes import Attributes
from cyxcloud.objects.bucket_config import UnreadableConfig
from cyxcloud.objects.inventory import ALL, INVENTORY, WEEKLY, InventoryConfig, work_name
from cyxcloud.objects.inventory_report import DataFile, Report
from fleet.inventory_state import State, decode, encode
from fleet.objectstore import ObjectStore
from fleet.storeclock import CoordinatorClock

log = structlog.get_logger(__name__)

# Who the target's policy has to let in.
SERVICE = "s3.amazonaws.com"
# Looking for what is due walks all configurations.
LOOK_SECONDS = 60.0
LOOKS_A_DAY = 8
PAGE_ROWS = 500  # some ten milliseconds
PAGE_PAUSE_SECONDS = 0.01  # so that a big bucket takes time instead of the machine
ROWS_A_FILE = 100_000  # what is done again after a crash: a few seconds
DAYS_A_WEEK = 7
PAUSE_SECONDS = 60.0
_GZIP = 31  # window bits that make zlib write gzip


class NotAllowed(Exception):
    """The target is not there, or does not let the store in."""


class InventoryReports:
    name = "inventories"

    def __init__(  # noqa: PLR0917 - all that it works with
        self,
        objects: ObjectStore,
        reader: Connection,
        writer: Writer,
        clock: CoordinatorClock,
        day_seconds: float,
        rows_a_file: int = ROWS_A_FILE,
    ) -> None:
        self._objects, self._reader, self._writer, self._clock = objects, reader, writer, clock
        self._day_ms = int(day_seconds * 1000)
        self._look_seconds = min(LOOK_SECONDS, day_seconds / LOOKS_A_DAY)
        self._rows_a_file = rows_a_file
        self._current: tuple[BucketId, str] | None = None
        self._paused: dict[tuple[BucketId, str], float] = {}

    async def step(self, now: float) -> Did | Idle:
        """One data file of one report, or its end. A report that fails waits; others do not wait for it."""
        if self._current is None:
            self._current = next(self._due(now), None)
        if self._current is None:
            return Idle(now + self._look_seconds)
        bucket, config_id = current = self._current
        row, config = buckets.read_by_id(self._reader, bucket), self._config(bucket, config_id)
        try:
            if row is None or config is None or not config.enabled or await self._advance(row, config):
                self._current = None
        except Exception:
            self._current, self._paused[current] = None, now + PAUSE_SECONDS
            log.exception("inventory failed for now", bucket=bucket, id=config_id)
        return Did(1, "taking inventory")

    # What is due

    def _due(self, now: float) -> Iterator[tuple[BucketId, str]]:
        now_ms = self._clock.now_ms()
        self._paused = {each: until for each, until in self._paused.items() if until > now}
        for bucket, config in self._configured():
            noted = bucket_work.read(self._reader, bucket, work_name(config.id))
            if (noted is None or noted[0] <= now_ms) and (bucket, config.id) not in self._paused:
                yield bucket, config.id

    def _configured(self) -> Iterator[tuple[BucketId, InventoryConfig]]:
        after = -1
        while page := bucket_config.having(self._reader, INVENTORY.name, after=after):
            for bucket, stored in page:
                try:
                    configs = INVENTORY.decode(stored).configs
                except UnreadableConfig:
                    log.exception("inventories cannot be read", bucket=bucket)
                    continue
                yield from ((bucket, config) for config in configs if config.enabled)
            after = page[-1][0]

    def _config(self, bucket: BucketId, config_id: str) -> InventoryConfig | None:
        """As it is now: it may have been changed since its report was begun."""
        found = configs.read(self._reader, bucket, INVENTORY)
        return None if found is None else found.find(config_id)

    # One report

    async def _advance(self, bucket: BucketRow, config: InventoryConfig) -> bool:
        """True when the report is at its end, or cannot be made now."""
        state = self._state(bucket, config)
        report = self._report(bucket, config, state)
        try:
            return await self._write(bucket, report, state)
        except NotAllowed as error:
            log.warning("inventory not delivered", bucket=bucket.name, id=config.id, reason=str(error))
            await self._note(bucket, config, self._next_ms(config), State(error=str(error)))
            return True

    async def _write(self, bucket: BucketRow, report: Report, state: State) -> bool:
        config = report.config
        file = _File(self._reader, bucket.id, report, state.after, self._rows_a_file)
        if file.is_empty:
            await self._finish(bucket, report, state)
            await self._note(bucket, config, self._next_ms(config, state.started_ms), State())
            return True
        key = report.data_key(len(state.files))
        await self._put(bucket, report, key, file.pieces())
        await self._note(bucket, config, state.started_ms, state.with_file(file.described(key), file.place))
        return False

    async def _finish(self, bucket: BucketRow, report: Report, state: State) -> None:
        manifest = report.manifest(state.files)
        await self._put(bucket, report, report.symlink_key, report.symlink(state.files))
        await self._put(bucket, report, report.manifest_key, manifest)
        checksum = md5(manifest, usedforsecurity=False).hexdigest()
        await self._put(bucket, report, report.checksum_key, checksum.encode())
        log.info("inventory delivered", bucket=report.bucket, id=report.config.id, manifest=report.manifest_key)

    async def _put(self, bucket: BucketRow, report: Report, key: str, body: bytes | AsyncIterator[bytes]) -> None:
        """Raises NotAllowed. The target's policy is asked anew for each object."""
        store, target = await self._objects.ready(), buckets.read(self._reader, report.config.bucket)
        if target is None:
            raise NotAllowed(f"there is no bucket {report.config.bucket}")
        source = delivery_rights.source_of(store, bucket)
        if not delivery_rights.may_deliver(store, SERVICE, source, target, key):
            raise NotAllowed(f"the policy of {target.name} does not let {SERVICE} put {key}")
        kind = _KINDS.get(key.rpartition(".")[2], "text/plain")
        attributes = Attributes({"content-type": kind})
        await self._objects.put_object(target, key.encode(), body, target.account, attributes)

    def _state(self, bucket: BucketRow, config: InventoryConfig) -> State:
        """Of the report that is being made, or of a new one."""
        noted = bucket_work.read(self._reader, bucket.id, work_name(config.id))
        state = None if noted is None else decode(noted[1])
        return state if state is not None and state.started_ms else State(self._clock.now_ms())

    def _report(self, bucket: BucketRow, config: InventoryConfig, state: State) -> Report:
        @cache
        def owner_of(account: AccountId) -> str:
            row = accounts.read(self._reader, account)
            return "" if row is None else row.canonical_id

        is_versioned = bucket.versioning is not Versioning.OFF
        return Report(bucket.name, config, state.started_ms, is_versioned, owner_of)

    def _next_ms(self, config: InventoryConfig, after_ms: int | None = None) -> int:
        days = DAYS_A_WEEK if config.frequency == WEEKLY else 1
        return (self._clock.now_ms() if after_ms is None else after_ms) + days * self._day_ms

    async def _note(self, bucket: BucketRow, config: InventoryConfig, at_ms: int, state: State) -> None:
        """Unless the configuration was changed meanwhile."""

        def note(conn: Connection) -> None:
            stored = bucket_config.read(conn, bucket.id, INVENTORY.name)
            if stored is not None and INVENTORY.decode(stored).find(config.id) == config:
                bucket_work.put(conn, bucket.id, work_name(config.id), at_ms, encode(state))

        await self._writer.submit(note)


_KINDS = {"gz": "application/gzip", "json": "application/json"}


class _File:
    """One data file, compressed while it is stored; it holds a page of rows at a time."""

    def __init__(self, reader: Connection, bucket: BucketId, report: Report, after: Place, limit: int) -> None:
        self._reader, self._bucket, self._report, self._limit = reader, bucket, report, limit
        self.place = after
        self._size, self._md5 = 0, md5(usedforsecurity=False)
        self._first = self._page(min(limit, PAGE_ROWS))

    @property
    def is_empty(self) -> bool:
        return not self._first

    async def pieces(self) -> AsyncIterator[bytes]:
        packer = zlib.compressobj(wbits=_GZIP)
        page, left = self._first, self._limit
        while page:
            left -= len(page)
            yield self._counted(packer.compress(b"".join(self._lines(page))))
            await asyncio.sleep(PAGE_PAUSE_SECONDS)
            page = self._page(min(left, PAGE_ROWS)) if left else []
        yield self._counted(packer.flush())

    def described(self, key: str) -> DataFile:
        return DataFile(key, self._size, self._md5.hexdigest())

    def _page(self, limit: int) -> list[Listed]:
        prefix = (self._report.config.filter_prefix or "").encode()
        read = inventory.all_versions if self._report.config.versions == ALL else inventory.current
        return read(self._reader, self._bucket, prefix, self.place, limit)

    def _lines(self, page: list[Listed]) -> Iterator[bytes]:
        for row in page:
            yield self._report.line(row, is_latest=row.key != self.place.key)
            self.place = Place(row.key, row.seq)

    def _counted(self, piece: bytes) -> bytes:
        self._size += len(piece)
        self._md5.update(piece)
        return piece
