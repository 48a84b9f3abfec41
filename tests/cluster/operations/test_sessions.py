"""R34: clocks that jump and writers that stand still, in the middle of an upload, through the real gateway and host."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cyxcloud.core.clock import SystemClock
from cyxcloud.core.ids import SessionNumber
from cyxcloud.core.worker import Did
from tests.cluster.inprocess import ACCESS, RECONCILE_SECONDS, SECRET, Coordinator, InProcessStore, serving
from tests.cluster.operations.calls import MIB, content
from tests.cluster.s3 import Endpoint, Key, Request, Signing

BODY = content(16 * MIB)
HOURS_25 = 25 * 3600.0


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[InProcessStore]:
    """A store whose session may be closed."""
    with serving(tmp_path) as running:
        running.client().create_bucket(Bucket="bucket")
        yield running


@dataclass(slots=True)
class Upload:
    connection: http.client.HTTPConnection

    def finish(self) -> int:
        """Sends the rest; the answer's status."""
        self.connection.send(BODY[len(BODY) // 2 :])
        return self.connection.getresponse().status


@contextmanager
def half_sent(store: InProcessStore, path: str) -> Iterator[Upload]:
    """A PutObject of which the first half is sent, and its first chunk stands on the nodes."""
    before = shard_count(store)
    endpoint = Endpoint("127.0.0.1", store.port)
    request = Signing(Key(ACCESS, SECRET)).by_header(Request("PUT", path), endpoint, "UNSIGNED-PAYLOAD")
    with closing(http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=20)) as connection:
        connection.putrequest("PUT", path, skip_accept_encoding=True)
        for name, value in request.headers:
            connection.putheader(name, value)
        connection.putheader("content-length", str(len(BODY)))
        connection.endheaders(BODY[: len(BODY) // 2])
        deadline = time.monotonic() + 20
        while shard_count(store) < before + 14:
            assert time.monotonic() < deadline, "no chunk was stored"
            time.sleep(0.02)
        yield Upload(connection)


def shard_count(store: InProcessStore) -> int:
    return sum(node.info().shard_count for node in store.stores)


def collect(store: InProcessStore, *, ahead_seconds: float = 0.0, grace_seconds: float = 0.0) -> int:
    """All that removes anything, once; gives what was ordered away."""
    time.sleep(RECONCILE_SECONDS)
    ordered = 0
    for worker_of in (
        Coordinator.sessions,
        lambda coordinator: coordinator.reconciler(grace_seconds),
        Coordinator.upload_sweep,
        Coordinator.deletions,
    ):
        done = store.step(worker_of, ahead_seconds=ahead_seconds)
        ordered += sum(each.count for each in done if isinstance(each, Did) and each.what == "deleting")
    return ordered


def read(store: InProcessStore, key: str) -> Any:
    return store.client().get_object(Bucket="bucket", Key=key)["Body"].read()


def session_of(store: InProcessStore) -> SessionNumber:
    ((number,),) = store.rows("SELECT number FROM session WHERE role = 'gateway' AND closed_at_ms IS NULL")
    return SessionNumber(number)


def test_a_wall_clock_that_jumps_forth_and_back_takes_nothing_of_an_upload(alone: InProcessStore) -> None:
    """Even for a coordinator that starts under the wrong clock: what is under way belongs to an open session."""
    alone.client().put_object(Bucket="bucket", Key="before", Body=BODY)
    with half_sent(alone, "/bucket/k") as upload:
        for ahead in (HOURS_25, 3 * HOURS_25, 0.0, -HOURS_25):
            assert collect(alone, ahead_seconds=ahead) == 0
        assert upload.finish() == 200
    assert collect(alone, ahead_seconds=HOURS_25) == 0
    assert read(alone, "k") == read(alone, "before") == BODY


def test_a_writer_that_stood_still_for_hours_cannot_commit(alone: InProcessStore) -> None:
    """Its session was closed meanwhile and what it had written is gone; what it committed before is not."""
    alone.client().put_object(Bucket="bucket", Key="before", Body=BODY)
    kept = shard_count(alone)

    async def close() -> None:
        async with alone._coordinator(SystemClock()) as coordinator:
            assert await coordinator.sessions().close(number)

    number = session_of(alone)
    with half_sent(alone, "/bucket/k") as upload:
        alone.run(close)
        assert collect(alone) > 0
        assert shard_count(alone) == kept
        assert upload.finish() == 503
    assert alone.rows("SELECT count(*) FROM version WHERE key = ?", b"k") == [(0,)]
    collect(alone)
    assert shard_count(alone) == kept
    assert read(alone, "before") == BODY
