from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cyxcloud.core.ids import UploadId
from cyxcloud.meta import upload_listing, uploads
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import NewUpload
from tests.unit.meta.build import ACCOUNT, BUCKET
from tests.unit.meta.test_listing import DELIMITERS, KEYS, PREFIXES, entries, memory_database
from tests.unit.meta.test_uploads import begin


@given(
    keys=st.lists(KEYS, max_size=12),
    prefix=PREFIXES,
    delimiter=DELIMITERS,
    limit=st.integers(1, 4),
)
@settings(deadline=None, max_examples=60)
def test_listing_goes_through_all_uploads_once(keys: list[bytes], prefix: bytes, delimiter: bytes, limit: int) -> None:
    conn = memory_database()
    wanted: list[tuple[bytes, int]] = []
    for number, key in enumerate(keys, start=1):
        created_at_ms = -number % 5
        begin(conn, number, key, created_at_ms)
        wanted.append((key, number))
    uploads.create(conn, NewUpload(UploadId(500), BUCKET + 1, b"a", ACCOUNT, 1, b""))  # type: ignore[arg-type]
    expected: list[tuple[bytes, int | None]] = []
    for name, is_prefix in entries(set(keys), prefix, delimiter):
        same = sorted((-number % 5, number) for key, number in wanted if key == name)
        expected += [(name, None)] if is_prefix else [(name, number) for _created, number in same]
    found: list[tuple[bytes, int | None]] = []
    page = None
    while page is None or page.truncated:
        page = upload_listing.page(
            conn,
            BUCKET,
            prefix=prefix,
            delimiter=delimiter,
            after_key=page.next_key or b"" if page else b"",
            after_upload=page.next_upload if page else None,
            limit=limit,
        )
        entries_of: list[tuple[bytes, int | None]] = [(each.key, each.id) for each in page.uploads]
        found += sorted([*entries_of, *((each, None) for each in page.prefixes)], key=lambda each: each[0])
    assert found == expected
    conn.driver.close()


def test_listing_of_nothing_is_whole(conn: Connection) -> None:
    page = upload_listing.page(conn, BUCKET, limit=0)
    assert (page.uploads, page.truncated) == ([], False)
