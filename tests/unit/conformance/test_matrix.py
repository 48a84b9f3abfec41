from __future__ import annotations

from pathlib import Path

from conformance.clients import matrix


def outcomes_of(*outcomes: tuple[str, str]) -> dict[str, dict[str, str]]:
    return {row["client"]: row["outcomes"] for row in matrix.collect(outcomes, Path("/nonexistent"))}


def test_collect_sorts_tests_by_client_and_scheme_and_keeps_the_worst() -> None:
    found = outcomes_of(
        ("test_tree_round_trip[http-aws-cli]", "passed"),
        ("test_multipart_round_trip[http-aws-cli]", "failed"),
        ("test_tree_round_trip[https-aws-cli]", "passed"),
        ("test_library[http-DuckDB]", "skipped"),
        ("test_restic_backup_restore_prune[https]", "passed"),
        ("test_rclone_test_info[http]", "passed"),
    )
    assert found["aws-cli"] == {"http": "failed", "https": "passed"}
    assert found["DuckDB"] == {"http": "skipped"}
    assert found["restic"] == {"https": "passed"}
    assert found["rclone"] == {"http": "passed"}
    assert found["boto3"] == {}


def test_page_says_what_was_not_run() -> None:
    rows = matrix.collect([("test_library[http-DuckDB]", "passed")], Path("/nonexistent"))
    line = next(line for line in matrix.page(rows).splitlines() if line.startswith("| DuckDB"))
    assert line.endswith("| yes | not run |")
