"""A mark that stands while the store is served: found at a start, it says that the last one did not end in order."""

from __future__ import annotations

from pathlib import Path

from cli.home import Home
from cyxcloud.core.durable import remove_file, write_file


def is_running_marked(home: Home) -> bool:
    return _mark(home).exists()


def mark(home: Home) -> None:
    """Durable before anything is served."""
    write_file(_mark(home), b"")


def unmark(home: Home) -> None:
    """Everything has ended."""
    remove_file(_mark(home))


def _mark(home: Home) -> Path:
    return home.meta / "served"
