"""Every client library does with the store what its users do, in a program of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.clients.endpoint import Endpoint
from conformance.clients.installed import LIBRARIES, Library, NotInstalled


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each.name)
def test_library(library: Library, endpoint: Endpoint, bucket: str, clients_folder: Path, tmp_path: Path) -> None:
    try:
        library.run(clients_folder, endpoint, bucket, tmp_path)
    except NotInstalled as missing:
        pytest.skip(str(missing))
