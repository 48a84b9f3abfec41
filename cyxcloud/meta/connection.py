"""One driver connection (sqlite3 or psycopg) behind the few calls that repositories make.

A result is always fetched to its end, so that no half-read cursor keeps a snapshot open. A Connection belongs to one
thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from cyxcloud.meta.statement import SQLITE, Params, Statement

Row = tuple[Any, ...]
_NOTHING: Params = {}


class Connection:
    """`changed_buckets` is set by what changes a bucket's row, for the writer that commits it."""

    __slots__ = ("_execute", "changed_buckets", "dialect", "driver")

    def __init__(self, driver: Any, dialect: str) -> None:
        self.driver = driver
        self.dialect = dialect
        self.changed_buckets = False
        self._execute = driver.execute

    def rows(self, statement: Statement, params: Params = _NOTHING) -> list[Row]:
        fetched: list[Row] = self._run(statement, params).fetchall()
        return fetched

    def one(self, statement: Statement, params: Params = _NOTHING) -> Row | None:
        """The only row, or None; a second one is a programmer's error."""
        rows = self._run(statement, params).fetchall()
        if not rows:
            return None
        assert len(rows) == 1
        row: Row = rows[0]
        return row

    def run(self, statement: Statement, params: Params = _NOTHING) -> int:
        """Carry out a change that returns nothing; gives the number of rows changed."""
        count: int = self._run(statement, params).rowcount
        return count

    def run_many(self, statement: Statement, params: Iterable[Params]) -> None:
        text, constants = statement.texts.get(self.dialect) or statement.compile(self.dialect)
        if constants:
            params = [{**constants, **each} for each in params]
        self.driver.cursor().executemany(text, params)

    def script(self, text: str) -> None:
        """A fixed statement of a dialect's own (pragma, savepoint), without parameters."""
        self._execute(text)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads inside see one moment of the database (a single statement always does)."""
        self._execute("BEGIN" if self.dialect == SQLITE else "BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            yield
        finally:
            self._execute("ROLLBACK")

    def _run(self, statement: Statement, params: Params) -> Any:
        text, constants = statement.texts.get(self.dialect) or statement.compile(self.dialect)
        return self._execute(text, {**constants, **params} if constants else params)
