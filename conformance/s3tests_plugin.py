"""Loaded into ceph's s3-tests by `python -m conformance s3tests`: records outcomes and keeps tests apart.

Upstream empties every left-over bucket before and after each test and raises when it cannot, so that one bucket that
will not go fails all tests after it. Here every test has a bucket prefix of its own, and what cannot be removed is
left.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

OUTCOMES = "CONFORMANCE_OUTCOMES"
ACCOUNT_FILES = ("test_iam.py", "test_sts.py", "test_sns.py")


@pytest.fixture(scope="session", autouse=True)
def _tests_apart() -> None:
    from botocore.config import Config

    suite: Any = importlib.import_module("s3tests.functional")
    Config.OPTION_DEFAULTS.update(connect_timeout=5, read_timeout=30)  # a hung answer is a failed test, not a lost run
    original_teardown = suite.teardown

    def setup() -> None:
        suite.prefix = suite.choose_bucket_prefix(template="conformance-{random}-")

    def teardown() -> None:
        if os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")[0].endswith(ACCOUNT_FILES):
            with contextlib.suppress(Exception):
                original_teardown()  # roles and policies outlive a test otherwise
        for client in (suite.get_client(), suite.get_alt_client(), suite.get_tenant_client()):
            _remove_buckets(suite, client)

    suite.setup, suite.teardown = setup, teardown


def _remove_buckets(suite: Any, client: Any) -> None:
    with contextlib.suppress(Exception):
        for name in suite.get_buckets_list(client, suite.prefix):
            with contextlib.suppress(Exception):
                suite.nuke_bucket(client, name)
                continue
            with contextlib.suppress(Exception):
                _empty_without_versions(client, name)


def _empty_without_versions(client: Any, name: str) -> None:
    """The way for a store that does not list versions."""
    for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", []):
        client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for entry in page.get("Contents", []):
            client.delete_object(Bucket=name, Key=entry["Key"])
    client.delete_bucket(Bucket=name)


class _Recorder:
    """One JSON line per test, written by the process that collects the results."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        entry = self._open.setdefault(report.nodeid, {"outcome": "passed", "why": ""})
        if report.skipped or (report.failed and report.when != "teardown"):
            entry["outcome"] = "skipped" if report.skipped else "failed"
            entry["why"] = " ".join(_reason(report).split())[:300]
        if report.when == "teardown":
            name = report.nodeid.rpartition("functional/")[2]
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"test": name, **self._open.pop(report.nodeid)}) + "\n")


def _reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr)


def pytest_configure(config: pytest.Config) -> None:
    path = os.environ.get(OUTCOMES)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Recorder(Path(path)))
