from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import classes
from cli.bootstrap import open_store
from cli.home import Home
from cli.store import database_of
from cyxcloud.core.config import ConfigError, FirstStart, Settings
from cyxcloud.core.profile import Profile
from cyxcloud.meta import cluster, placements, profiles
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import PlacementState


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    home = Home(tmp_path)
    open_store(home, Settings(), FirstStart())
    opened = database_of(home)
    yield opened
    opened.close()


def opened(database: Database) -> set[Profile]:
    rows = placements.read_all(database.reader())
    return {Profile(row.k, row.m) for row in rows if row.state is PlacementState.OPEN}


def test_a_class_gets_a_pool_of_its_profile_and_loses_it_again(database: Database) -> None:
    classes.bring_up_to_date(database, {"STANDARD_IA": "4+2"})
    assert opened(database) == {Profile(10, 4), Profile(4, 2)}
    classes.bring_up_to_date(database, {})
    assert opened(database) == {Profile(10, 4)}
    assert profiles.default_profile(database.reader()) == Profile(10, 4)


def test_what_is_set_already_changes_nothing(database: Database) -> None:
    classes.bring_up_to_date(database, {"STANDARD_IA": "4+2"})
    before = cluster.epochs(database.reader()).topology
    classes.bring_up_to_date(database, {"STANDARD_IA": "4+2"})
    assert cluster.epochs(database.reader()).topology == before


def test_a_class_that_does_not_exist_is_named(database: Database) -> None:
    with pytest.raises(ConfigError, match="no storage class WARM"):
        classes.bring_up_to_date(database, {"WARM": "4+2"})


def test_a_profile_that_the_nodes_do_not_suffice_for_waits_without_a_pool(database: Database) -> None:
    classes.bring_up_to_date(database, {"GLACIER": "20+10"})
    assert opened(database) == {Profile(10, 4)}
    assert profiles.read_all(database.reader())["GLACIER"] == Profile(20, 10)
