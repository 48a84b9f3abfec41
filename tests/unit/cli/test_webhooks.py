"""`cyxcloud webhook` on a stopped store."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.home import Home
from cli.store import database_of
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import deliveries, webhooks
from cyxcloud.meta.deliveries import NewDelivery
from cyxcloud.meta.system import SNAPSHOT_BUCKET
from cyxcloud.objects.notification import sealed_as
from tests.unit.cli.test_commands import data, run, run_json

__all__ = ["data"]
URL = "https://hooks.example.org/s3?x=1"


def test_added_webhook_is_listed_with_what_waits_for_it(data: Path) -> None:
    made = run_json("webhook", "add", "hook", URL, "--secret", "long-and-random", "--data", data)
    assert made == {"name": "hook", "arn": "arn:cyxcloud:s3:::webhook:hook", "url": URL, "signed": True}
    database = database_of(Home.of([data]))
    row = webhooks.read(database.reader(), "hook")
    assert row is not None
    assert Keyring.open(data / "keys").open_secret(sealed_as("hook"), row.secret) == "long-and-random"
    assert b"long-and-random" not in row.secret
    writer = database.writer()
    writer.start()
    writer.call(lambda conn: deliveries.add(conn, [NewDelivery("hook", SNAPSHOT_BUCKET, b"k", 5, b"{}")] * 2))
    writer.call(lambda conn: webhooks.count(conn, "hook", 7, delivered=3, given_up=1, error="answered 500"))
    writer.close()
    database.close()
    (listed,) = run_json("webhook", "list", "--data", data)
    assert (listed["waiting"], listed["waiting_since_ms"]) == (2, 5)
    assert (listed["delivered"], listed["given_up"], listed["given_up_at_ms"]) == (3, 1, 7)
    assert listed["error"] == "answered 500"


def test_removed_webhook_is_gone(data: Path) -> None:
    run("webhook", "add", "hook", URL, "--data", data)
    assert "there is a webhook hook already" in run("webhook", "add", "hook", URL, "--data", data, code=1)
    run("webhook", "remove", "hook", "--data", data)
    assert run_json("webhook", "list", "--data", data) == []
    assert "there is no webhook hook" in run("webhook", "remove", "hook", "--data", data, code=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["two words", URL], "name: 1 to 128"),
        (["hook", "ftp://h/"], "must be http:// or https://"),
        (["hook", "https://u:p@h/"], "use --secret"),
        (["hook", URL, "--secret", "short"], "secret: 8 to 128"),
    ],
)
def test_webhook_that_cannot_be_is_refused(data: Path, arguments: list[str], said: str) -> None:
    assert said in run("webhook", "add", *arguments, "--data", data, code=1)
    assert run_json("webhook", "list", "--data", data) == []


def test_test_of_a_stopped_store_says_so(data: Path) -> None:
    run("webhook", "add", "hook", URL, "--data", data)
    assert "start it with" in run("webhook", "test", "hook", "--data", data, code=1)
