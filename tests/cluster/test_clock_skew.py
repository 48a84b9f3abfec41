"""A gateway whose wall clock is wrong, and set while it runs: who may come in goes by it, the order of versions never."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cyxcloud.core.clock import SystemClock
from s3gw import app as gateway_app
from tests.cluster.inprocess import InProcessStore, serving
from tests.cluster.operations.calls import refused


class WallClock(SystemClock):
    """Set by a test as an operator, or a bad time server, would set it."""

    set_by_seconds = 0.0

    def now_ms(self) -> int:
        return super().now_ms() + int(WallClock.set_by_seconds * 1000)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessStore]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gateway_app, "SystemClock", WallClock)
        with serving(tmp_path_factory.mktemp("skew")) as running:
            yield running


@pytest.fixture
def client(store: InProcessStore) -> Iterator[Any]:
    yield store.client()
    WallClock.set_by_seconds = 0.0


@pytest.mark.parametrize("seconds", [1, -1, 300, -300])
def test_request_by_clocks_that_differ_by_minutes_is_taken(client: Any, seconds: float) -> None:
    WallClock.set_by_seconds = seconds
    client.list_buckets()


@pytest.mark.parametrize("seconds", [960, -960])
def test_request_by_clocks_that_differ_by_more_is_refused_until_they_agree(client: Any, seconds: float) -> None:
    WallClock.set_by_seconds = seconds
    with refused("RequestTimeTooSkewed", 403):
        client.list_buckets()
    WallClock.set_by_seconds = 0
    client.list_buckets()


def test_versions_stay_in_the_order_of_their_commits_while_the_clock_jumps(client: Any) -> None:
    client.create_bucket(Bucket="skewed")
    client.put_bucket_versioning(Bucket="skewed", VersioningConfiguration={"Status": "Enabled"})
    written = []
    for seconds in (0, 840, -840, 300, -1, 0):
        WallClock.set_by_seconds = seconds
        written.append(client.put_object(Bucket="skewed", Key="k", Body=str(seconds).encode())["VersionId"])
        assert client.get_object(Bucket="skewed", Key="k")["Body"].read() == str(seconds).encode()
    listed = client.list_object_versions(Bucket="skewed")["Versions"]
    assert [each["VersionId"] for each in listed] == written[::-1]
    times = [each["LastModified"] for each in listed]
    assert times == sorted(times, reverse=True)
    assert (times[0] - times[-1]).total_seconds() < 60


def test_conditional_write_goes_by_content_while_the_clock_jumps(client: Any) -> None:
    client.create_bucket(Bucket="conditional")
    WallClock.set_by_seconds = 840
    etag = client.put_object(Bucket="conditional", Key="k", Body=b"1")["ETag"]
    WallClock.set_by_seconds = -840
    client.put_object(Bucket="conditional", Key="k", Body=b"2", IfMatch=etag)
    with refused("PreconditionFailed", 412):
        client.put_object(Bucket="conditional", Key="k", Body=b"3", IfMatch=etag)
