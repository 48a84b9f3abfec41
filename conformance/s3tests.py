"""Runs ceph's s3-tests against an endpoint and holds the outcome against what is expected to pass.

`expected.txt` lists the tests that pass, one a line; the list only grows: `--accept` adds what newly passes and never
takes anything away. A listed test that does not pass is a regression and ends the run with 1; `failing.txt` gives the
reason of each that is known to fail.
"""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from conformance.s3tests_plugin import ACCOUNT_FILES, OUTCOMES

EXPECTED = Path(__file__).with_name("expected.txt")
FAILING = Path(__file__).with_name("failing.txt")
NEEDED_MODULES = (
    "boto3",
    "httplib2",
    "isodate",
    "munch",
    "pytest",
    "pytest_timeout",
    "pytz",
    "requests",
    "yaml",
    "xdist",
)
# These ask for an account without buckets, so they run before all others and alone.
ALONE = ("test_s3.py::test_list_buckets_paginated",)


@dataclass(frozen=True, slots=True)
class Outcome:
    test: str
    outcome: str
    why: str


@dataclass(frozen=True, slots=True)
class Options:
    endpoint: str
    files: Sequence[str]
    keyword: str
    marks: str
    workers: int
    timeout: int
    python: str


@contextmanager
def suite_folder(source: str) -> Iterator[Path]:
    """The suite's checkout: a folder as it is; a bare repository or a git URL is cloned to a temporary one."""
    folder = Path(source)
    if (folder / "s3tests" / "functional").is_dir():
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="s3-tests-") as scratch:
        checkout = Path(scratch, "s3-tests")
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", source, str(checkout)], check=True)
        yield checkout


def write_conf(suite: Path, endpoint: str, path: Path) -> None:
    """The suite's sample configuration with our endpoint in it; its users are the ones to provision."""
    parser = configparser.RawConfigParser()
    parser.read(suite / "s3tests.conf.SAMPLE")
    parser.remove_section("webidentity")  # needs an identity provider beside the store
    url = urlsplit(endpoint)
    parser["DEFAULT"]["host"] = url.hostname or ""
    parser["DEFAULT"]["port"] = str(url.port or (443 if url.scheme == "https" else 80))
    parser["DEFAULT"]["is_secure"] = str(url.scheme == "https")
    parser["DEFAULT"]["ssl_verify"] = "False"
    with path.open("w", encoding="utf-8") as file:
        parser.write(file)


def run(suite: Path, conf: Path, options: Options) -> list[Outcome]:
    """All chosen tests: first those that want to be alone, then the rest side by side, then those that change users."""
    found = sorted(path.name for path in (suite / "s3tests" / "functional").glob("test_*.py"))
    files = [name for name in (options.files or found) if name != "test_utils.py"]
    ordinary = [name for name in files if name not in ACCOUNT_FILES]
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        log = Path(scratch, "outcomes")
        log.touch()
        environment = _environment(suite, conf, log)
        alone = [test for test in ALONE if test.partition("::")[0] in ordinary]
        _pytest(suite, environment, options, [f"s3tests/functional/{test}" for test in alone], workers=0)
        _pytest(
            suite,
            environment,
            options,
            [f"s3tests/functional/{name}" for name in ordinary],
            workers=options.workers,
            left_out=alone,
        )
        accounts = [f"s3tests/functional/{name}" for name in files if name in ACCOUNT_FILES]
        _pytest(suite, environment, options, accounts, workers=0)
        return [Outcome(**json.loads(line)) for line in log.read_text("utf-8").splitlines()]


def _environment(suite: Path, conf: Path, log: Path) -> dict[str, str]:
    """Without the user's own AWS settings and proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") and not name.lower().endswith("_proxy")
    }
    return kept | {
        "S3TEST_CONF": str(conf),
        OUTCOMES: str(log),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), str(suite)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        # Where awscrt is installed botocore signs with it, and then fails by itself on the tests that send `Expect: 200`.
        "BOTO_DISABLE_CRT": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _pytest(
    suite: Path,
    environment: dict[str, str],
    options: Options,
    targets: Sequence[str],
    *,
    workers: int,
    left_out: Sequence[str] = (),
) -> None:
    if not targets:
        return
    command = [options.python, "-m", "pytest", "-p", "conformance.s3tests_plugin", "-p", "no:cacheprovider"]
    command += ["-q", "--no-header", "--tb=no", "--disable-warnings", "-o", "addopts=", f"--timeout={options.timeout}"]
    command += ["-k", options.keyword] if options.keyword else []
    command += ["-m", options.marks] if options.marks else []
    command += ["-n", str(workers)] if workers > 1 else []
    command += [f"--deselect=s3tests/functional/{test}" for test in left_out]
    subprocess.run([*command, *targets], cwd=suite, env=environment, check=False)


def missing_modules(python: str) -> list[str]:
    """What the suite needs and that interpreter does not have."""
    code = f"import importlib.util as u; print(*[m for m in {NEEDED_MODULES!r} if u.find_spec(m) is None])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def report(outcomes: Sequence[Outcome], *, accept: bool, expected_file: Path = EXPECTED) -> int:
    """Prints the score and what changed; 1 where something regressed."""
    expected = read_expected(expected_file)
    by_test = {each.test: each for each in outcomes}
    passed = {each.test for each in outcomes if each.outcome == "passed"}
    regressed = sorted(test for test in expected & by_test.keys() if test not in passed)
    gained = sorted(passed - expected)
    count = Counter(each.outcome for each in outcomes)
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped of {len(outcomes)}")
    print(f"{len(expected)} expected to pass, {len(expected - by_test.keys())} of them not run")
    for test in regressed:
        print(f"REGRESSED {test}: {by_test[test].outcome}: {by_test[test].why}")
    for test in gained:
        print(f"gained {test}")
    reasons = read_reasons(FAILING)
    for test in sorted(reasons.keys() & {each.test.partition("[")[0] for each in outcomes if each.outcome == "failed"}):
        print(f"known {test}: {reasons[test]}")
    if accept and gained:
        expected_file.write_text("".join(f"{test}\n" for test in sorted(expected | passed)), "utf-8")
        print(f"{len(gained)} added to {expected_file}")
    return 1 if regressed else 0


def read_reasons(path: Path) -> dict[str, str]:
    """Why each test that is known to fail does, by its name without parameters."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return {test: reason for test, _, reason in (line.partition(" | ") for line in lines)}


def read_expected(path: Path) -> set[str]:
    return set(path.read_text("utf-8").split()) if path.exists() else set()
