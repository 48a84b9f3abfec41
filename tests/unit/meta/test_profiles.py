from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from cyxcloud.core.profile import Profile
from cyxcloud.meta import profiles
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.migrations import config
from cyxcloud.meta.writer import Writer, open_writable

TEN_FOUR, TWO_ONE = Profile(10, 4), Profile(2, 1)


def test_the_profile_that_a_store_is_made_with_stays(writer: Writer, conn: Connection) -> None:
    assert writer.call(lambda c: profiles.create(c, TEN_FOUR))
    assert not writer.call(lambda c: profiles.create(c, TWO_ONE))
    assert profiles.default_profile(conn) == TEN_FOUR


def test_set_classes_replaces_all_but_the_stores_own(writer: Writer, conn: Connection) -> None:
    writer.call(lambda c: profiles.create(c, TEN_FOUR))
    assert writer.call(lambda c: profiles.set_classes(c, {"STANDARD_IA": TWO_ONE, "GLACIER": Profile(10, 6)}))
    assert writer.call(lambda c: profiles.set_classes(c, {"STANDARD_IA": Profile(4, 2)}))
    assert profiles.read_all(conn) == {profiles.DEFAULT: TEN_FOUR, "STANDARD_IA": Profile(4, 2)}


def test_set_classes_says_when_nothing_changes(writer: Writer) -> None:
    writer.call(lambda c: profiles.create(c, TEN_FOUR))
    writer.call(lambda c: profiles.set_classes(c, {"GLACIER": TWO_ONE}))
    assert not writer.call(lambda c: profiles.set_classes(c, {"GLACIER": TWO_ONE}))


def test_a_database_without_its_profile_is_refused(conn: Connection) -> None:
    with pytest.raises(AssertionError, match="made with a profile"):
        profiles.default_profile(conn)


def test_a_store_of_an_earlier_release_keeps_the_profile_of_its_placements(tmp_path: Path) -> None:
    database = Database(tmp_path / "meta.db")
    engine = create_engine("sqlite://", creator=lambda: open_writable(database.path, create=True), poolclass=NullPool)
    with engine.begin() as older:
        made = config()
        made.attributes["connection"] = older
        command.upgrade(made, "0003")
        for number in (1, 2):
            older.execute(
                text("INSERT INTO placement (id, k, m, nodes, state) VALUES (:id, 8, 4, x'', 1)"), {"id": number}
            )
    database.upgrade()
    assert profiles.read_all(database.reader()) == {profiles.DEFAULT: Profile(8, 4)}
    database.close()
