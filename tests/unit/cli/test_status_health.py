from __future__ import annotations

from cli.status_health import health_text

QUIET = {"queued": 0, "running": 0, "done": 7, "stuck": 0, "failing": 0, "waiting_for": []}


def test_each_class_of_chunks_has_its_bar() -> None:
    lines = health_text({"chunks": 101, "by_shards": {"14": 100, "12": 1}}, QUIET).splitlines()
    assert lines[0].startswith("101 chunks")
    assert [line.count("█") for line in lines[1:3]] == [40, 1], "even the smallest class is seen"
    assert lines[-1].endswith("7 done")


def test_what_keeps_the_mover_from_its_work_is_said() -> None:
    held_up = QUIET | {"stuck": 2, "failing": 3, "waiting_for": ["node-01"]}
    text = health_text({"chunks": 0, "by_shards": {}}, held_up)
    assert "2 placements lack nodes" in text
    assert "3 chunks could not" in text
    assert "node-01" in text
