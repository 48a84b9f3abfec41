"""What `node init` and `node run` are told."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from cli.node_host import DEFAULT_ROOT, root_of, run
from cli.options import CommandError
from cli.sizes import parse_size


def test_root_is_the_option_then_the_configuration_then_the_default(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    assert root_of(None, config) == DEFAULT_ROOT
    config.write_text('root = "/srv/cyx"\n')
    assert root_of(None, config) == Path("/srv/cyx")
    assert root_of(tmp_path / "here", config) == tmp_path / "here"


@pytest.mark.parametrize("text", ['root = "srv"', "root = 7", 'rot = "/srv"', "root =", 'root = "/srv"\ncapacity = 1'])
def test_root_that_is_not_understood_is_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "node.toml"
    config.write_text(text)
    with pytest.raises(CommandError, match=r"node\.toml"):
        root_of(None, config)


def test_run_where_no_node_is_leaves_nothing_there(tmp_path: Path) -> None:
    """What it left would keep `node init` from making one."""
    with pytest.raises(typer.Exit):
        run(root=tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("text", "size"), [("10GB", 10**10), ("2TiB", 2 << 40), ("500M", 500 * 10**6), ("0", 0), ("1.5 kB", 1500), ("7", 7)]
)
def test_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "ten", "1XB", "1e9"])
def test_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="is no size"):
        parse_size(text)
