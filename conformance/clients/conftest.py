"""Where the client tests find their endpoint.

By default they start a store of their own, over HTTP and over HTTPS. Any other S3 endpoint is named by options or by
variables of the same names: `pytest conformance/clients --endpoint URL --access-key K --secret-key S [--ca FILE]`.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from conformance.clients import matrix
from conformance.clients.endpoint import Endpoint, own_store
from conformance.clients.programs import CLIENTS, Boto3, Client
from conformance.clients.tree import make_tree

OUTCOMES: pytest.StashKey[list[tuple[str, str]]] = pytest.StashKey()
OPTIONS = {
    "--endpoint": "S3 endpoint to test instead of a store of our own",
    "--access-key": "access key for --endpoint",
    "--secret-key": "secret key for --endpoint",
    "--region": "region for --endpoint",
    "--ca": "file of the CA that signed the endpoint's certificate",
    "--clients-folder": "where `make clients` has put the clients (default .clients)",
    "--matrix": "write the outcome of every client as JSON to this file",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("clients")
    for name, text in OPTIONS.items():
        group.addoption(name, default=os.environ.get(f"CONFORMANCE_{name[2:].upper().replace('-', '_')}"), help=text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.clients)
            item.add_marker(pytest.mark.timeout(3600 if item.get_closest_marker("long") else 300))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """For the matrix: what came of each client, by scheme."""
    report = yield
    if item.config.getoption("--matrix") and (report.when == "call" or report.outcome != "passed"):
        item.config.stash.setdefault(OUTCOMES, []).append((item.nodeid.rpartition("::")[2], report.outcome))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--matrix")
    if path:
        folder = Path(session.config.getoption("--clients-folder") or ".clients").resolve()
        outcomes = session.config.stash.setdefault(OUTCOMES, list[tuple[str, str]]())
        Path(path).write_text(json.dumps(matrix.collect(outcomes, folder)) + "\n", "utf-8")


def named(config: pytest.Config) -> Endpoint | None:
    url = config.getoption("--endpoint")
    if url is None:
        return None
    access_key, secret_key = config.getoption("--access-key"), config.getoption("--secret-key")
    if not access_key or not secret_key:
        raise pytest.UsageError("--endpoint needs --access-key and --secret-key")
    ca = config.getoption("--ca")
    return Endpoint(url, access_key, secret_key, config.getoption("--region") or "us-east-1", Path(ca) if ca else None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A named endpoint is what it is; our own store is tested over both."""
    if "endpoint" in metafunc.fixturenames:
        given = named(metafunc.config)
        schemes = [given.url.partition(":")[0]] if given else ["http", "https"]
        metafunc.parametrize("endpoint", schemes, indirect=True, scope="session")
    if "client" in metafunc.fixturenames:
        metafunc.parametrize("client", list(CLIENTS), indirect=True)


@pytest.fixture(scope="session")
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    given = named(request.config)
    if given is not None:
        yield given
        return
    with own_store(tmp_path_factory.mktemp(request.param), tls=request.param == "https") as made:
        yield made.endpoint


@pytest.fixture(scope="session")
def clients_folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.getoption("--clients-folder") or ".clients").resolve()


@pytest.fixture
def client(request: pytest.FixtureRequest, endpoint: Endpoint) -> Client:
    return CLIENTS[request.param](endpoint)


@pytest.fixture
def bucket(endpoint: Endpoint) -> Iterator[str]:
    """A name that is free; what a test put there is removed, as the endpoint may not be ours."""
    name = f"conformance-{uuid.uuid4().hex[:16]}"
    yield name
    client = Boto3(endpoint)
    s3 = client.client()
    try:
        keys = list(client.keys(name, ""))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
        return  # the client has cleaned up itself
    for at in range(0, len(keys), 1000):
        s3.delete_objects(
            Bucket=name, Delete={"Objects": [{"Key": key} for key in keys[at : at + 1000]], "Quiet": True}
        )
    s3.delete_bucket(Bucket=name)


@pytest.fixture(scope="session")
def small_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("small"), whole=False)


@pytest.fixture(scope="session")
def whole_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("whole"), whole=True)
