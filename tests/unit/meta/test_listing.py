from __future__ import annotations

import sqlite3

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from cyxcloud.core.ids import AccountId, VersionId
from cyxcloud.meta import heads, listing
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import HeadRow, Listing
from cyxcloud.meta.schema import metadata
from cyxcloud.meta.statement import SQLITE
from cyxcloud.meta.writer import Writer
from tests.unit.meta.build import ACCOUNT, BUCKET, add_bucket, delete, new_version, put, put_inline

# Few letters, so that keys share prefixes and delimiters occur; the edges of byte order and SQL's NUL are among them.
LETTERS = [b"a", b"b", b"/", b"\x00", b"\xff", b"\xfe", b"\xc3\xa9"]
KEYS = st.lists(st.sampled_from(LETTERS), min_size=1, max_size=6).map(b"".join)
PREFIXES = st.lists(st.sampled_from(LETTERS), max_size=3).map(b"".join)
DELIMITERS = st.lists(st.sampled_from(LETTERS), max_size=2).map(b"".join)


def entries(keys: set[bytes], prefix: bytes, delimiter: bytes) -> list[tuple[bytes, bool]]:
    """What a listing is, said the slow way: (name, is a common prefix) in byte order."""
    found = set()
    for key in keys:
        if key.startswith(prefix):
            head, cut, _rest = key[len(prefix) :].partition(delimiter) if delimiter else (b"", b"", b"")
            found.add((prefix + head + cut, True) if cut else (key, False))
    return sorted(found)


def named(page: Listing) -> list[tuple[bytes, bool]]:
    return sorted([(each.key, False) for each in page.objects] + [(each, True) for each in page.prefixes])


def memory_database() -> Connection:
    driver = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    engine = create_engine("sqlite://", creator=lambda: driver, poolclass=StaticPool)
    metadata.create_all(engine)
    return Connection(driver, SQLITE)


def head_of(key: bytes, *, live: bool = True) -> HeadRow:
    return HeadRow(key, VersionId(1), None, live, 1, "etag", 1, AccountId(1), "STANDARD", 0, 2)


class ListingMachine(RuleBasedStateMachine):
    """Keys come, go and hide under delete markers; every page is held against a sorted set."""

    @initialize()
    def open(self) -> None:
        self.conn = memory_database()
        self.live: dict[bytes, bool] = {}
        for other in (BUCKET - 1, BUCKET + 1):
            heads.put(self.conn, other, head_of(b"a/of another bucket"), is_new=True)  # type: ignore[arg-type]

    @rule(key=KEYS, live=st.booleans())
    def put(self, *, key: bytes, live: bool) -> None:
        heads.put(self.conn, BUCKET, head_of(key, live=live), is_new=key not in self.live)
        self.live[key] = live

    @rule(folder=KEYS, count=st.integers(1, 12))
    def put_folder(self, folder: bytes, count: int) -> None:
        for n in range(count):
            self.put(key=folder + b"/" + b"%d" % n, live=True)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.live:
            key = data.draw(st.sampled_from(sorted(self.live)))
            heads.remove(self.conn, BUCKET, key)
            del self.live[key]

    @rule(prefix=PREFIXES, delimiter=DELIMITERS, after=st.one_of(st.just(b""), KEYS), limit=st.integers(1, 7))
    def one_page(self, prefix: bytes, delimiter: bytes, after: bytes, limit: int) -> None:
        page = listing.page(self.conn, BUCKET, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        wanted = [each for each in self.entries(prefix, delimiter) if each[0] > after]
        assert named(page) == wanted[:limit]
        assert page.truncated == (len(wanted) > limit)
        assert page.last == (wanted[:limit][-1][0] if wanted else None)

    @rule(prefix=PREFIXES, delimiter=DELIMITERS, limit=st.integers(1, 5))
    def all_pages(self, prefix: bytes, delimiter: bytes, limit: int) -> None:
        found: list[tuple[bytes, bool]] = []
        after, more = b"", True
        while more:
            page = listing.page(self.conn, BUCKET, prefix=prefix, delimiter=delimiter, after=after, limit=limit)
            found += named(page)
            more = page.truncated
            assert not more or page.last is not None
            after = page.last or b""
        assert found == self.entries(prefix, delimiter)

    @invariant()
    def everything(self) -> None:
        page = listing.page(self.conn, BUCKET)
        assert [each.key for each in page.objects] == sorted(key for key, live in self.live.items() if live)

    def entries(self, prefix: bytes, delimiter: bytes) -> list[tuple[bytes, bool]]:
        return entries({key for key, live in self.live.items() if live}, prefix, delimiter)

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            self.conn.driver.close()


ListingMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestListing = ListingMachine.TestCase


@given(KEYS, KEYS)
@settings(deadline=None)
def test_past_all_is_beyond_what_starts_so_and_nothing_else(prefix: bytes, key: bytes) -> None:
    bound = listing.past_all(prefix)
    assert (prefix <= key < bound) == key.startswith(prefix)


def test_page_of_a_key_of_the_greatest_bytes() -> None:
    conn = memory_database()
    greatest = b"\xff" * 1024
    for key in (b"\xff", b"\xff\xff/x", greatest):
        heads.put(conn, BUCKET, head_of(key), is_new=True)
    assert [each.key for each in listing.page(conn, BUCKET, prefix=b"\xff").objects] == [
        b"\xff",
        b"\xff\xff/x",
        greatest,
    ]
    rolled = listing.page(conn, BUCKET, delimiter=b"\xff")
    assert (rolled.objects, rolled.prefixes) == ([], [b"\xff"])
    conn.driver.close()


def test_page_with_a_limit_of_nothing_is_empty_and_whole() -> None:
    conn = memory_database()
    heads.put(conn, BUCKET, head_of(b"a"), is_new=True)
    assert listing.page(conn, BUCKET, limit=0) == Listing([], [], truncated=False, last=None)
    conn.driver.close()


def test_page_steps_over_folders_by_seeking() -> None:
    """A thousand folders of a hundred keys, thirty entries a page: the statement must not walk the keys of a folder."""
    conn = memory_database()
    conn.script("BEGIN")
    for folder in range(300):
        for n in range(100):
            heads.put(conn, BUCKET, head_of(b"f%03d/%03d" % (folder, n)), is_new=True)
    conn.script("COMMIT")
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    conn.driver.set_progress_handler(count, 1000)
    page = listing.page(conn, BUCKET, delimiter=b"/", limit=100)
    assert page.prefixes == [b"f%03d/" % n for n in range(100)]
    assert page.truncated
    assert steps < 20, "thousands of SQLite's instructions"
    conn.driver.close()


def test_page_does_not_walk_delete_markers() -> None:
    conn = memory_database()
    conn.script("BEGIN")
    for n in range(20_000):
        heads.put(conn, BUCKET, head_of(b"dead-%05d" % n, live=False), is_new=True)
    heads.put(conn, BUCKET, head_of(b"z"), is_new=True)
    conn.script("COMMIT")
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    conn.driver.set_progress_handler(count, 1000)
    assert [each.key for each in listing.page(conn, BUCKET, delimiter=b"/").objects] == [b"z"]
    assert steps <= 1
    conn.driver.close()


def test_page_shows_what_the_current_version_is(writer: Writer, conn: Connection) -> None:
    writer.call(add_bucket)
    writer.call(lambda c: put_inline(c, 1, b"k", b"old", is_null=False))
    writer.call(lambda c: put_inline(c, 2, b"k", b"newer", is_null=False))
    (shown,) = listing.page(conn, BUCKET).objects
    assert (shown.key, shown.size, shown.etag, shown.account) == (b"k", 5, "etag-2", ACCOUNT)
    writer.call(lambda c: put(c, new_version(3, b"k", is_null=False, marker=True)))
    assert listing.page(conn, BUCKET).objects == []
    writer.call(lambda c: delete(c, b"k", 3))
    writer.call(lambda c: delete(c, b"k", 2))
    (shown,) = listing.page(conn, BUCKET).objects
    assert (shown.size, shown.etag) == (3, "etag-1")
