"""`cyxcloud policy explain` on a stopped store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.bootstrap import open_store
from cli.home import Home
from cli.main import app
from cli.store import change, database_of
from cyxcloud.core import config
from cyxcloud.core.config import FirstStart
from cyxcloud.core.ids import BucketId
from cyxcloud.meta import accounts, bucket_config, buckets
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketRow, Versioning
from cyxcloud.objects.bucket_rules import POLICY, StoredPolicy

PUBLIC = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "from the office",
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"],
            "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}},
        },
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::photos/private/*",
        },
    ],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home.of([tmp_path_factory.mktemp("policy") / "data"])
    open_store(home, config.load(home.path, {"nodes": 3, "profile": "2+1"}), FirstStart())

    def fill(conn: Connection) -> None:
        root = next(row for row in accounts.read_all(conn) if row.is_root)
        buckets.create(conn, BucketRow(BucketId(1), "photos", root.id, "us-east-1", 0, Versioning.OFF, 1))
        bucket_config.put(conn, BucketId(1), POLICY.name, POLICY.encode(StoredPolicy(json.dumps(PUBLIC))))

    database = database_of(home)
    change(database, fill)
    database.close()
    return home.path


def run(data: Path, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["policy", "explain", *arguments, "--data", str(data)])
    assert result.exit_code == code, result.output
    return result.output


def explained(data: Path, *arguments: str, code: int = 0) -> Any:
    return json.loads(run(data, *arguments, "--json", code=code))


READ = ("photos/sea.jpg", "--action", "s3:GetObject")


def test_explain_tells_what_allows(data: Path) -> None:
    answer = explained(data, *READ, "--as", "anonymous", "--context", "aws:SourceIp=192.0.2.7")
    assert answer == {
        "allowed": True,
        "decided_by": "bucket_policy",
        "reason": "the bucket's policy allows it",
        "trace": [{"rule": "bucket policy", "outcome": "Allow (from the office)"}],
    }


def test_explain_tells_what_denies(data: Path) -> None:
    answer = explained(data, "photos/private/x", *READ[1:], "--as", "anonymous", code=1)
    assert (answer["allowed"], answer["decided_by"]) == (False, "deny")
    assert answer["trace"] == [{"rule": "bucket policy", "outcome": "Deny (statement 2)"}]
    nothing = explained(data, *READ, "--as", "anonymous", code=1)
    assert nothing["decided_by"] == "nothing"


def test_explain_for_a_person(data: Path) -> None:
    said = run(data, "photos", "--action", "s3:listbucket", "--as", "anonymous", "--context", "aws:SourceIp=192.0.2.1")
    assert said.splitlines()[0] == "allowed: the bucket's policy allows it"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("photos/x", "--as", "anonymous", "--action", "s3:Fly"), "there is no action s3:Fly"),
        (("photos", "--as", "anonymous", "--action", "s3:GetObject"), "give BUCKET/KEY"),
        (("photos/x", "--as", "anonymous", "--action", "s3:ListBucket"), "done to a bucket"),
        (("nothing/x", "--as", "anonymous", "--action", "s3:GetObject"), "there is no bucket nothing"),
        ((*READ, "--as", "nobody"), "there is no user nobody"),
        ((*READ, "--as", "anonymous", "--context", "aws:Shoe=44"), "give a condition key"),
    ],
)
def test_explain_refuses_what_makes_no_sense(data: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in run(data, *arguments, code=1)
