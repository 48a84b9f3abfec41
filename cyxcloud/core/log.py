"""One way to log: structlog in front, the standard library's handlers behind, so that libraries' lines look the same.

A process writes everything of its level to a file that is rolled (size times count bounds what logs can ever take), and
what an operator must see also to stderr. Secrets are never logged; request bodies neither.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Literal, TextIO

import structlog
from structlog.typing import Processor

Level = Literal["debug", "info", "warning", "error"]

FILE_BYTES = 16 * 1024 * 1024
FILE_COUNT = 4
CHATTY = ("alembic", "asyncio")  # say at info what only their own developers want to know


def configure(
    role: str,
    *,
    level: Level = "info",
    json: bool = False,
    file: Path | None = None,
    stream: TextIO | None = None,
    stream_level: Level = "warning",
) -> None:
    """Sets up this process's logging; called once, by whoever starts the process, and again only by tests."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.setLevel(level.upper())
    if file is not None:
        root.addHandler(_file_handler(file, _formatter(role, shared, json=json, colors=False)))
    on_screen = stream or sys.stderr
    handler = logging.StreamHandler(on_screen)
    handler.setLevel((stream_level if file is not None else level).upper())
    handler.setFormatter(_formatter(role, shared, json=json, colors=on_screen.isatty()))
    root.addHandler(handler)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _file_handler(file: Path, formatter: logging.Formatter) -> logging.Handler:
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        file, maxBytes=FILE_BYTES, backupCount=FILE_COUNT - 1, encoding="utf-8"
    )
    handler.setFormatter(formatter)
    return handler


def _formatter(role: str, shared: list[Processor], *, json: bool, colors: bool) -> logging.Formatter:
    def add_role(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["role"] = role
        return event

    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json
        else [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, add_role, *last],
    )
