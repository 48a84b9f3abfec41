"""One running store for all tests that do it no harm, one a module for those that damage or kill."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.running import Running
from tests.cluster.s3 import S3


@contextmanager
def running(data: Path, *more: Path, **settings: object) -> Iterator[Running]:
    """A store of the default profile (16 nodes, 10+4) with two gateways, until the end of the block."""
    store = Running(data, {"workers": 2} | settings, more=more)
    try:
        store.start()
        yield store
    finally:
        store.kill()


@pytest.fixture(scope="session")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The store of those tests that only speak S3 to it."""
    with running(tmp_path_factory.mktemp("unharmed") / "data") as store:
        yield store


@pytest.fixture
async def s3(unharmed: Running) -> AsyncIterator[S3]:
    async with unharmed.s3() as client:
        yield client


@pytest.fixture
async def bucket(s3: S3, request: pytest.FixtureRequest) -> str:
    """A fresh bucket named after its test."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[5:63].strip("-")
    await s3.must("PUT", f"/{name}")
    return name
