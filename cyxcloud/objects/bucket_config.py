"""What is configured of a bucket, typed: policy, CORS, lifecycle, ... each a frozen dataclass of its own module.

A module that owns a configuration declares its `ConfigKey` once. The stored form is the byte 0x01 and JSON of the
dataclass, checked on the way in by its types: what cannot be read is an error, never a default (unknown is denied).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Generic, TypeVar, cast

from pydantic import TypeAdapter

from cyxcloud.core.ids import BucketId
from cyxcloud.meta import bucket_config
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects.store import Store

T = TypeVar("T")

FORMAT = b"\x01"


class UnreadableConfig(Exception):
    """A stored configuration is of a format that this version does not know."""


class ConfigKey(Generic[T]):
    """The name under which a configuration of type `kind` (a dataclass) is stored."""

    def __init__(self, name: str, kind: type[T]) -> None:
        self.name, self._kind = name, kind

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        return TypeAdapter(self._kind)

    def encode(self, value: T) -> bytes:
        return FORMAT + self._adapter.dump_json(value)

    def decode(self, data: bytes) -> T:
        """Raises UnreadableConfig."""
        if data[:1] != FORMAT:
            raise UnreadableConfig(f"{self.name}: unknown format {data[:1].hex()!r}")
        try:
            return self._adapter.validate_json(data[1:])
        except ValueError as error:
            raise UnreadableConfig(f"{self.name}: {error}") from error


class BucketConfig:
    """A bucket's configurations as they stood at one revision; each is parsed when it is first asked for."""

    def __init__(self, stored: Mapping[str, bytes]) -> None:
        self._stored = stored
        self._parsed: dict[str, object] = {}
        self.is_empty = not stored

    def get(self, key: ConfigKey[T]) -> T | None:
        """None where it was never set. Raises UnreadableConfig."""
        parsed = self._parsed.get(key.name)
        if parsed is None:
            data = self._stored.get(key.name)
            if data is None:
                return None
            parsed = self._parsed[key.name] = key.decode(data)
        return cast("T", parsed)

    def derived(self, name: str, make: Callable[[BucketConfig], T]) -> T:
        """Something made of configurations that is dear to make (a compiled policy): once a revision."""
        found = self._parsed.get(name)
        if found is None:
            found = self._parsed[name] = make(self)
        return cast("T", found)


NOTHING_CONFIGURED = BucketConfig({})


def of(store: Store, bucket: BucketRow) -> BucketConfig:
    """Of a bucket row as it was read; a row of another revision has its configurations read again."""
    kept = store.configs.get(bucket.id)
    if kept is not None and kept[0] == bucket.revision:
        return cast("BucketConfig", kept[1])
    config = BucketConfig(bucket_config.read_all(store.reader, bucket.id))
    if len(store.configs) >= MAX_KEPT:
        store.configs.clear()
    store.configs[bucket.id] = (bucket.revision, config)
    return config


MAX_KEPT = 10_000


def read(conn: Connection, bucket: BucketId, key: ConfigKey[T]) -> T | None:
    """In a transaction, or in the coordinator: straight from the row."""
    data = bucket_config.read(conn, bucket, key.name)
    return None if data is None else key.decode(data)


async def put(store: Store, bucket: BucketRow, key: ConfigKey[T], value: T) -> None:
    """Raises BucketGone."""
    data = key.encode(value)
    await store.change(lambda conn: bucket_config.put(conn, bucket.id, key.name, data))


async def remove(store: Store, bucket: BucketRow, key: ConfigKey[T]) -> bool:
    """False when there was none. Raises BucketGone."""
    return await store.change(lambda conn: bucket_config.remove(conn, bucket.id, key.name))
