"""The pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from cyxcloud.core.config import PREFIX, FirstStart, Settings
from s3gw.handlers import HANDLERS
from s3gw.operations import OPERATIONS

ROOT = Path(__file__).parents[3]


def test_every_setting_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    found = {name: field.annotation for name, field in Settings.model_fields.items()}
    nested = {name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}
    names = [name for name in Settings.model_fields if name not in nested]
    names += [f"{group}.{name}" for group, model in nested.items() for name in model.model_fields]
    missing = [name for name in names if f"`{name}`" not in text]
    missing += [name for name in FirstStart.model_fields if f"`{PREFIX}{name.upper()}`" not in text]
    assert missing == []


def test_status_page_names_every_operation_as_it_is() -> None:
    text = (ROOT / "docs" / "status.md").read_text()
    works = set(re.findall(r"^\| (\w+) \| (?:works|partial)", text, re.MULTILINE))
    not_yet = set(re.findall(r"\w+", text.partition("Not yet (501): ")[2].partition(".")[0]))
    assert works == {each.name for each in OPERATIONS if each.handler in HANDLERS}
    assert not_yet == {each.name for each in OPERATIONS if each.handler not in HANDLERS}


def test_pages_link_only_to_what_is_there() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_readme_names_both_commands() -> None:
    text = (ROOT / "README.md").read_text()
    targets = (ROOT / "Makefile").read_text()
    for command in re.findall(r"^ {4}make (\w+)", text, re.MULTILINE):
        assert f"\n{command}:" in targets
    assert "make up" in text
    assert "make test" in text
