"""Schema changes, one file for each release that made one; a database is brought up by running those it lacks.

Each runs in one transaction under the writers' lock, so a kill in it leaves the schema as it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

HERE = Path(__file__).parent


def config() -> Config:
    made = Config()
    made.set_main_option("script_location", str(HERE).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def migrate_sqlite(connect: Callable[[], sqlite3.Connection]) -> None:
    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE")

    with engine.begin() as conn:
        upgrade(conn)


def upgrade(conn: Any) -> None:
    """Run what is missing on a SQLAlchemy connection inside its transaction."""
    made = config()
    made.attributes["connection"] = conn
    command.upgrade(made, "head")
