"""Statements compiled once: SQLAlchemy Core writes the SQL, the driver runs it.

Core's own execute costs 20 us a statement, five times what SQLite needs for it. A prepared statement is a Core
statement with named parameters, turned into each dialect's text at its first use; constants in it keep their values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import pysqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.sql.base import Executable

SQLITE = "sqlite"
POSTGRESQL = "postgresql"


class _SqliteCompiler(SQLiteCompiler):
    """Writes `INDEXED BY` where a statement's hint names an index; SQLAlchemy has no word for it."""

    def get_from_hint_text(self, _table: Any, text: str | None) -> str | None:
        return text


class _SqliteDialect(pysqlite.dialect):
    statement_compiler = _SqliteCompiler


_DIALECTS: dict[str, Dialect] = {
    SQLITE: _SqliteDialect(paramstyle="named"),
    POSTGRESQL: psycopg.dialect(),  # type: ignore[no-untyped-call]
}

Params = Mapping[str, Any]


class Statement:
    """A Core statement and, per dialect, its text and the values of the constants in it."""

    __slots__ = ("core", "texts")

    def __init__(self, core: Executable) -> None:
        self.core = core
        self.texts: dict[str, tuple[str, dict[str, Any]]] = {}

    def compile(self, dialect: str) -> tuple[str, dict[str, Any]]:
        compiled = self.core.compile(dialect=_DIALECTS[dialect])  # type: ignore[attr-defined]
        constants = {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}
        self.texts[dialect] = made = (str(compiled), constants)
        return made


def prepare(core: Executable) -> Statement:
    return Statement(core)
