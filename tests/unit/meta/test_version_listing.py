"""Pages of versions against a plain list of all of them, rolled up and cut by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cyxcloud.core.ids import VersionId
from cyxcloud.meta import heads, version_listing, versions
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.postgres import PostgresWriter
from cyxcloud.meta.reads import NULL_VERSION, VersionRef
from cyxcloud.meta.version_listing import VersionListing
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import BUCKET, add_bucket, new_version, put
from tests.unit.meta.test_listing import KEYS, memory_database

DELIMITERS = st.sampled_from([b"", b"/", b"/a", b"\xff"])


def add(conn: Connection, number: int, key: bytes, *, is_null: bool = False, marker: bool = False) -> int | None:
    """The number of the null version that it replaced."""
    head = heads.read(conn, BUCKET, key)
    replaced = versions.insert_current(conn, new_version(number, key, is_null=is_null, marker=marker), head)
    return None if replaced is None else replaced.version.id


def remove(conn: Connection, number: int, key: bytes) -> None:
    head = heads.read(conn, BUCKET, key)
    assert head is not None
    assert versions.remove(conn, BUCKET, head, VersionId(number)) is not None


class VersionListingMachine(RuleBasedStateMachine):
    """`chains`: of each key its versions, the newest first, as (number, is null, is a marker)."""

    @initialize()
    def begin(self) -> None:
        self.conn = memory_database()
        self.chains: dict[bytes, list[tuple[int, bool, bool]]] = {}
        self.number = 0

    @rule(key=KEYS, is_null=st.booleans(), marker=st.booleans())
    def put(self, key: bytes, is_null: bool, marker: bool) -> None:  # noqa: FBT001
        self.number += 1
        replaced = add(self.conn, self.number, key, is_null=is_null, marker=marker)
        chain = self.chains.setdefault(key, [])
        chain[:] = [(self.number, is_null, marker), *(each for each in chain if each[0] != replaced)]

    @precondition(lambda self: any(self.chains.values()))
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(key for key, chain in self.chains.items() if chain)))
        gone = data.draw(st.sampled_from(self.chains[key]))
        remove(self.conn, gone[0], key)
        self.chains[key].remove(gone)

    @rule(prefix=st.sampled_from([b"", b"a", b"a/", b"\xff", b"b"]), delimiter=DELIMITERS, limit=st.integers(1, 6))
    def page_by_page(self, prefix: bytes, delimiter: bytes, limit: int) -> None:
        seen: list[Any] = []
        for page in self._pages(prefix, delimiter, limit):
            entries = [(each.key, each.id, bool(each.is_latest)) for each in page.versions]
            assert len(entries) + len(page.prefixes) <= limit
            seen += sorted([*entries, *((folder, 0, None) for folder in page.prefixes)], key=lambda each: each[0])
        assert seen == self._entries(prefix, delimiter)

    @rule(prefix=st.sampled_from([b"", b"a"]), delimiter=DELIMITERS, marker=KEYS)
    def after_a_key(self, prefix: bytes, delimiter: bytes, marker: bytes) -> None:
        page = version_listing.page(self.conn, BUCKET, prefix=prefix, delimiter=delimiter, after_key=marker)
        found = {each.id for each in page.versions} | set(page.prefixes)
        wanted = {
            number or key
            for key, number, _ in self._entries(prefix, delimiter)
            if key > marker and not (number == 0 and marker.startswith(key))
        }
        assert found == wanted

    @invariant()
    def nothing_is_missing(self) -> None:
        page = version_listing.page(self.conn, BUCKET)
        assert [each.id for each in page.versions] == [number for _, number, _ in self._entries(b"", b"")]

    def _pages(self, prefix: bytes, delimiter: bytes, limit: int) -> Iterator[VersionListing]:
        key, named, more = b"", None, True
        while more:
            page = version_listing.page(
                self.conn,
                BUCKET,
                prefix=prefix,
                delimiter=delimiter,
                after_key=key,
                after_version=named,
                limit=limit,
            )
            yield page
            key, named, more = page.next_key, page.next_version, page.truncated

    def _entries(self, prefix: bytes, delimiter: bytes) -> list[tuple[bytes, int, bool | None]]:
        entries: list[tuple[bytes, int, bool | None]] = []
        for key in sorted(self.chains):
            if not key.startswith(prefix):
                continue
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            if at < 0:
                entries += [(key, each[0], n == 0) for n, each in enumerate(self.chains[key])]
            elif self.chains[key] and (key[: at + len(delimiter)], 0, None) not in entries:
                entries.append((key[: at + len(delimiter)], 0, None))
        return entries

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            self.conn.driver.close()


VersionListingMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestVersionListing = VersionListingMachine.TestCase


@pytest.fixture
def memory() -> Iterator[Connection]:
    conn = memory_database()
    yield conn
    conn.driver.close()


def numbers(page: VersionListing) -> list[int]:
    return [each.id for each in page.versions]


def test_page_goes_on_after_the_null_version(memory: Connection) -> None:
    for number in (1, 2, 3):
        add(memory, number, b"k", is_null=number == 2)
    assert numbers(version_listing.page(memory, BUCKET, after_key=b"k", after_version=NULL_VERSION)) == [1]
    assert version_listing.page(memory, BUCKET, limit=2).next_version == NULL_VERSION


def test_page_after_a_version_that_was_removed_passes_none_over(memory: Connection) -> None:
    """A client deletes the versions that it has listed, then asks for what follows the last of them."""
    for number in range(1, 6):
        add(memory, number, b"k")
    add(memory, 6, b"later")
    page = version_listing.page(memory, BUCKET, limit=2)
    for each in page.versions:
        remove(memory, each.id, each.key)
    assert page.next_version == VersionRef(VersionId(4))
    rest = version_listing.page(memory, BUCKET, after_key=page.next_key, after_version=page.next_version)
    assert numbers(rest) == [3, 2, 1, 6]
    assert [each.is_latest for each in rest.versions] == [True, False, False, True]


def test_page_steps_over_folders_by_seeking(memory: Connection) -> None:
    """Neither the keys of a folder nor their versions are walked, and a key's own versions stay entries."""
    memory.script("BEGIN")
    number = 0
    for folder in range(200):
        for n in range(50):
            for key in (b"f%03d/%03d" % (folder, n), b"f%03d" % folder)[: 2 if n < 2 else 1]:
                number += 1
                add(memory, number, key)
    memory.script("COMMIT")
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    memory.driver.set_progress_handler(count, 1000)
    page = version_listing.page(memory, BUCKET, delimiter=b"/", limit=150)
    assert page.prefixes == [b"f%03d/" % n for n in range(50)]
    assert [each.key for each in page.versions] == [b"f%03d" % (n // 2) for n in range(100)]
    assert page.truncated
    assert steps < 40, "thousands of SQLite's instructions"


def test_page_walks_from_entry_to_entry_on_either_database(writer: Writer | PostgresWriter, conn: Connection) -> None:
    """Folders of more keys than a page has make the walk; keys between them have several versions, one a marker."""

    def fill(inside: Connection) -> None:
        add_bucket(inside)
        number = itertools.count(1)
        for folder in (b"a", b"b", b"\xff"):
            for n in range(5):
                put(inside, new_version(next(number), b"%b/%d" % (folder, n), is_null=False))
            for marker in (False, False, True):
                put(inside, new_version(next(number), folder, is_null=False, marker=marker))

    writer.call(fill)
    page = version_listing.page(conn, BUCKET, delimiter=b"/", limit=4)
    assert ([each.key for each in page.versions], page.prefixes, page.truncated) == ([b"a"] * 3, [b"a/"], True)
    assert [(bool(each.is_delete_marker), each.is_latest) for each in page.versions] == [
        (True, True),
        (False, False),
        (False, False),
    ]
    page = version_listing.page(conn, BUCKET, delimiter=b"/", after_key=page.next_key, limit=8)
    assert [each.key for each in page.versions] == [b"b"] * 3 + [b"\xff"] * 3
    assert (page.prefixes, page.truncated) == ([b"b/", b"\xff/"], False)
    page = version_listing.page(conn, BUCKET, after_key=b"a", after_version=VersionRef(VersionId(7)), limit=2)
    assert [(each.key, each.id) for each in page.versions] == [(b"a", 6), (b"a/0", 1)]
