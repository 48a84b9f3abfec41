"""What the state machine asks of the store and how it checks what it is told; the rules stand in its test."""

from __future__ import annotations

import itertools
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from hashlib import md5

from hypothesis.stateful import RuleBasedStateMachine

from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import check
from cyxcloud.meta.check import Context
from cyxcloud.meta.database import Database
from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import Answer, raw
from tests.cluster.operations.model import NULL, Kept, Model

_numbers = itertools.count(1)
_NEVER = "00000000000000ff"
_LISTED = re.compile(
    rb"<(Version|DeleteMarker)><Key>([^<]*)</Key><VersionId>([^<]*)</VersionId><IsLatest>(true|false)</IsLatest>"
)


def element(answer: Answer, name: str) -> str:
    return answer.body.partition(f"<{name}>".encode())[2].partition(f"</{name}>".encode())[0].decode()


class Asking(RuleBasedStateMachine):
    """A bucket of the running store, and the model that says what it should hold."""

    store: InProcessStore

    def __init__(self) -> None:
        super().__init__()
        self.bucket = f"machine-{next(_numbers)}"
        self.model = Model()
        assert self.call("PUT").status == 200

    def call(
        self, method: str, key: str = "", body: bytes = b"", headers: dict[str, str] | None = None, **query: str | None
    ) -> Answer:
        path = f"/{self.bucket}/{key}" if key else f"/{self.bucket}"
        given = tuple((name.replace("_", "-"), value) for name, value in query.items() if value is not None)
        # Documents about locks and tags, and bodies that are locked as they are stored, come with a digest.
        if method != "GET" and "x-amz-copy-source" not in (headers or {}):
            digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
            headers = (headers or {}) | {"content-md5": digest}
        return raw(self.store, method, path, body, headers, query=given)

    def pick(self, key: str, which: int | str) -> str:
        """A version id to name."""
        chain = self.model.chains.get(key, [])
        if isinstance(which, int):
            return chain[which].id if which < len(chain) else _NEVER
        if which == NULL:
            return NULL
        return next(iter(sorted(self.model.given - {each.id for each in chain})), _NEVER)

    def status_of_source(self, found: Kept | None, version: str | None) -> int:
        if found is None:
            return 404
        if found.is_marker:
            return 404 if version is None else 400
        return 200

    def status_of_read(self, found: Kept | None, version: str | None, good: int) -> int:
        if found is None:
            return 404
        if found.is_marker:
            return 404 if version is None else 405
        return good

    def version_pages(self, limit: int) -> Iterator[list[tuple[bool, str, str, bool]]]:
        key: str | None = None
        version: str | None = None
        while True:
            answer = self.call("GET", versions="", max_keys=str(limit), key_marker=key, version_id_marker=version)
            found = _LISTED.findall(answer.body)
            assert len(found) <= limit
            yield [
                (each[0] == b"DeleteMarker", each[1].decode(), each[2].decode(), each[3] == b"true") for each in found
            ]
            if element(answer, "IsTruncated") == "false":
                return
            key, version = element(answer, "NextKeyMarker"), element(answer, "NextVersionIdMarker")

    def check_database(self) -> None:
        (held,) = self.store.rows(
            "SELECT coalesce(sum(d.objects), 0), coalesce(sum(d.bytes), 0) FROM usage_delta d JOIN bucket b "
            "ON b.id = d.bucket WHERE b.name = ?",
            self.bucket,
        )
        assert held == self.model.usage()
        keyring = Keyring.open(self.store.home.keys)
        with closing(Database(self.store.home.meta / "meta.db")) as database:
            found = check.run(database.reader(), Context(frozenset(keyring.wrapping.keys), 0))
        assert found == []
