"""The conformance runner: what it expects, whom it provisions, what its tree is made of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cli.bootstrap import open_store
from cli.home import Home
from cli.store import open_existing
from conformance import s3tests, users
from conformance.clients.tree import manifest, write_random
from conformance.s3tests import Outcome
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart
from cyxcloud.meta import accounts

CONF = """
[DEFAULT]
host = localhost
[fixtures]
bucket prefix = x-{random}-
[s3 main]
display_name = M. Tester
user_id = testid
email = tester@ceph.com
access_key = 0555b35654ad1656d804
secret_key = h7GhxuBLTrlhVUyxSPUKUV8r/2EI4ngqJxD7iBdBYLhwluN30JaT3Q==
[s3 tenant]
display_name = testx$tenanteduser
user_id = testx$9876
access_key = HIJKLMNOPQRSTUVWXYZA
secret_key = opqrstuvwxyzabcdefghijklmnopqrstuvwxyzab
[iam root]
user_id = RGW1
access_key = AAAAAAAAAAAAAAAAAAaa
secret_key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "s3tests.conf"
    path.write_text(CONF)
    return path


def outcomes(**by_test: str) -> list[Outcome]:
    return [Outcome(test, outcome, "why") for test, outcome in by_test.items()]


def test_regression_fails_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = tmp_path / "expected.txt"
    expected.write_text("one\ntwo\nnot_run\n")
    assert s3tests.report(outcomes(one="passed", two="failed"), accept=True, expected_file=expected) == 1
    assert "REGRESSED two: failed: why" in capsys.readouterr().out
    assert expected.read_text() == "one\ntwo\nnot_run\n", "the list never shrinks"


def test_skipped_test_that_was_expected_is_a_regression(tmp_path: Path) -> None:
    expected = tmp_path / "expected.txt"
    expected.write_text("one\n")
    assert s3tests.report(outcomes(one="skipped"), accept=False, expected_file=expected) == 1


def test_gains_are_added_only_when_accepted(tmp_path: Path) -> None:
    expected = tmp_path / "expected.txt"
    new = outcomes(b="passed", a="passed", c="failed")
    assert s3tests.report(new, accept=False, expected_file=expected) == 0
    assert not expected.exists()
    assert s3tests.report(new, accept=True, expected_file=expected) == 0
    assert expected.read_text() == "a\nb\n"


def test_users_are_made_with_their_keys_and_again(conf: Path, tmp_path: Path) -> None:
    home = Home.of([tmp_path / "data"])
    open_store(home, config.load(home.path, {"nodes": 3, "profile": "2+1"}), FirstStart())
    for _ in range(2):
        assert users.provision(conf, home.path) == ["testid", "testx$9876", "RGW1"]
    with open_existing(home) as store:
        found = accounts.credentials(store.reader, "0555b35654ad1656d804")
        assert found is not None
        key, owner = found
        assert (owner.canonical_id, owner.display_name, owner.email) == ("testid", "M. Tester", "tester@ceph.com")
        assert store.keyring.open_secret(key.access_key, key.secret).startswith("h7Ghxu")
        assert len(accounts.read_all(store.reader)) == 4


def test_conf_names_the_endpoint(tmp_path: Path) -> None:
    (tmp_path / "s3tests.conf.SAMPLE").write_text(CONF + "[webidentity]\ntoken = x\n")
    s3tests.write_conf(tmp_path, "https://127.0.0.1:9443", tmp_path / "made.conf")
    text = (tmp_path / "made.conf").read_text()
    for line in ("host = 127.0.0.1", "port = 9443", "is_secure = True", "ssl_verify = False"):
        assert line in text
    assert "webidentity" not in text
    assert [user.user_id for user, _ in users.users_of(tmp_path / "made.conf")] == ["testid", "testx$9876", "RGW1"]


def test_suite_may_be_a_repository(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    (origin / "s3tests" / "functional").mkdir(parents=True)
    (origin / "s3tests" / "functional" / "test_s3.py").write_text("")
    git = ["git", "-C", str(origin), "-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run(["git", "init", "-q", str(origin)], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    with s3tests.suite_folder(str(origin / ".git")) as suite:
        assert (suite / "s3tests" / "functional" / "test_s3.py").exists()
    with s3tests.suite_folder(str(origin)) as suite:
        assert suite == origin


@pytest.mark.parametrize("size", [1, 7, 8, 9, 8 << 20, (8 << 20) + 3])
def test_random_files_have_their_size_and_no_two_blocks_alike(tmp_path: Path, size: int) -> None:
    path = write_random(tmp_path / "a" / "file", size)
    assert path.stat().st_size == size
    assert list(manifest(tmp_path)) == ["a/file"]
