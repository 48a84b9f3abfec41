"""One store in this process for all tests of S3's operations; each test has a bucket of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.inprocess import InProcessStore, serving

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessStore]:
    with serving(tmp_path_factory.mktemp("operations")) as running:
        yield running


@pytest.fixture(scope="session")
def client(store: InProcessStore) -> Any:
    return store.client()


@pytest.fixture
def bucket(client: Any) -> str:
    name = f"operations-{next(_numbers)}"
    client.create_bucket(Bucket=name)
    return name
