"""What a log line holds and where it goes."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from cyxcloud.core import log


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    for handler in handlers:
        logging.getLogger().removeHandler(handler)
    yield
    for handler in list(logging.getLogger().handlers):
        logging.getLogger().removeHandler(handler)
        handler.close()
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


def test_json_line_carries_role_level_time_and_fields() -> None:
    stream = io.StringIO()
    log.configure("gateway", json=True, stream=stream)
    structlog.get_logger("x").warning("disk full", node="node-01")
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "disk full", "node": "node-01", "level": "warning", "role": "gateway"}


def test_library_lines_look_the_same() -> None:
    stream = io.StringIO()
    log.configure("gateway", json=True, stream=stream)
    logging.getLogger("aiohttp").error("went %s", "wrong")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["role"]) == ("went wrong", "error", "gateway")


def test_exception_keeps_its_traceback() -> None:
    stream = io.StringIO()
    log.configure("gateway", json=True, stream=stream)
    try:
        Path("/nowhere/at/all").read_bytes()
    except OSError:
        structlog.get_logger("x").exception("read failed")
    assert "FileNotFoundError" in json.loads(stream.getvalue())["exception"]


def test_file_takes_all_and_screen_only_warnings(tmp_path: Path) -> None:
    stream = io.StringIO()
    log.configure("gateway", file=tmp_path / "logs" / "gateway.log", stream=stream)
    logger = structlog.get_logger("x")
    logger.debug("too fine")
    logger.info("quiet news")
    logger.warning("loud news")
    text = (tmp_path / "logs" / "gateway.log").read_text()
    assert "too fine" not in text
    assert "quiet news" in text
    assert "loud news" in text
    assert "quiet news" not in stream.getvalue()
    assert "loud news" in stream.getvalue()


def test_file_is_rolled_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FILE_BYTES", 2000)
    log.configure("gateway", file=tmp_path / "gateway.log", stream=io.StringIO())
    for number in range(200):
        structlog.get_logger("x").info("line", number=number)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == log.FILE_COUNT
    assert sum(sizes) <= 2000 * log.FILE_COUNT
