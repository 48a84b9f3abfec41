"""R14: whatever is asked of a bucket, in whatever order, it holds what a dict of lists would hold.

Versions, null versions, markers, conditions, tags, locks, copies and multipart uploads against the real store over HTTP; at the
end of each run everything is read, and the database has to agree with itself and with the model's sums.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, rule, run_state_machine_as_test

from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import PART, Answer, content
from tests.cluster.operations.machine import Asking, element
from tests.cluster.operations.model import (
    COMPLIANCE,
    ENABLED,
    GOVERNANCE,
    NULL,
    OFF,
    SUSPENDED,
    TOMORROW,
    Kept,
    etag_of,
    multipart_etag_of,
)

# One of them often, so that chains grow.
KEYS = st.sampled_from(["a", "a", "a", "a/b", "a/c", "b"])
# Empty, inline and coded into shards.
BODIES = st.builds(content, st.sampled_from([0, 7, 7, 20_000]), st.integers(0, 3))
TAGS = st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["", "1", "2"]), max_size=2)
# Which of a key's versions: one of the newest, the null version, one that is gone or never was.
WHICH = st.sampled_from([0, 0, 1, 2, NULL, NULL, "gone"])
# Retained for good, since a run ends before any of these years; without a mode the retention is taken off.
MODES = st.sampled_from(["", GOVERNANCE, GOVERNANCE, COMPLIANCE])
_TAG = re.compile(rb"<Key>([^<]*)</Key><Value>([^<]*)</Value>")


class BucketMachine(Asking):
    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, tuple[str, dict[int, bytes]]] = {}

    @initialize(status=st.sampled_from([OFF, ENABLED, SUSPENDED, "Locked"]), body=BODIES)
    def begin_with_an_object(self, status: str, body: bytes) -> None:
        self.put("a", body, {}, "first")
        if status == "Locked":
            self.configure(ENABLED)
            self.lock_bucket(GOVERNANCE)
        elif status != OFF:
            self.configure(status)

    @rule(status=st.sampled_from([ENABLED, SUSPENDED]))
    def configure(self, status: str) -> None:
        document = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>".encode()
        refused = self.model.locks and status == SUSPENDED
        assert self.call("PUT", body=document, versioning="").status == (409 if refused else 200)
        if not refused:
            self.model.status = status
            assert element(self.call("GET", versioning=""), "Status") == status

    @rule(default=st.sampled_from(["", "", GOVERNANCE]))
    def lock_bucket(self, default: str) -> None:
        period = f"<DefaultRetention><Mode>{default}</Mode><Days>1</Days></DefaultRetention>"
        inside = f"<ObjectLockEnabled>Enabled</ObjectLockEnabled>{f'<Rule>{period}</Rule>' if default else ''}"
        document = f"<ObjectLockConfiguration>{inside}</ObjectLockConfiguration>".encode()
        answer = self.call("PUT", body=document, object_lock="")
        assert answer.status == (200 if self.model.status == ENABLED else 409)
        if answer.status == 200:
            self.model.locks, self.model.default_mode = True, default

    @rule(key=KEYS, which=st.none() | WHICH, mode=MODES, until=st.integers(2090, 2092), bypass=st.booleans())
    def retain(self, key: str, which: int | str | None, mode: str, until: int, bypass: bool) -> None:  # noqa: FBT001
        version = None if which is None else self.pick(key, which)
        found = self.model.named(key, version)
        inside = f"<Mode>{mode}</Mode><RetainUntilDate>{until}-01-01T00:00:00Z</RetainUntilDate>" if mode else ""
        document = f"<Retention>{inside}</Retention>".encode()
        headers = {"x-amz-bypass-governance-retention": "true"} if bypass else {}
        answer = self.call("PUT", key, document, headers, retention="", versionId=version)
        if not self.model.locks:
            assert answer.status in (400, 404, 405)
            return
        until = until if mode else 0
        allowed = found is not None and not found.is_marker and found.takes(mode, until, bypass=bypass)
        assert answer.status == self.status_of_read(found, version, 200 if allowed else 403)
        if answer.status == 200:
            assert found is not None
            self.model.amend(key, found, replace(found, mode=mode, until=until))

    @rule(key=KEYS, which=st.none() | WHICH, hold=st.booleans())
    def hold(self, key: str, which: int | str | None, hold: bool) -> None:  # noqa: FBT001
        version = None if which is None else self.pick(key, which)
        found = self.model.named(key, version)
        document = f"<LegalHold><Status>{'ON' if hold else 'OFF'}</Status></LegalHold>".encode()
        answer = self.call("PUT", key, document, legal_hold="", versionId=version)
        if not self.model.locks:
            assert answer.status in (400, 404, 405)
            return
        assert answer.status == self.status_of_read(found, version, 200)
        if answer.status == 200:
            assert found is not None
            self.model.amend(key, found, replace(found, hold=hold))

    @rule(key=KEYS, body=BODIES, tags=TAGS, note=st.sampled_from(["", "n"]))
    def put(self, key: str, body: bytes, tags: dict[str, str], note: str) -> None:
        headers = {"x-amz-tagging": "&".join(f"{name}={value}" for name, value in tags.items())} if tags else {}
        headers |= {"x-amz-meta-note": note} if note else {}
        answer = self.call("PUT", key, body, headers)
        assert (answer.status, answer.headers["etag"]) == (200, f'"{etag_of(body)}"')
        told = answer.headers.get("x-amz-version-id")
        self.model.add(key, Kept("", body, etag_of(body), note, tags), told)

    @rule(key=KEYS, body=BODIES, condition=st.sampled_from(["none", "same", "other", "any"]))
    def put_conditionally(self, key: str, body: bytes, condition: str) -> None:
        live = self.model.live(key)
        etag = live.etag if live is not None else etag_of(b"")
        headers = {
            "none": {"if-none-match": "*"},
            "same": {"if-match": etag},
            "other": {"if-match": etag_of(b"other")},
            "any": {"if-match": "*"},
        }[condition]
        answer = self.call("PUT", key, body, headers)
        if condition == "none":
            expected = 412 if live is not None else 200
        elif live is None:
            expected = 404
        else:
            expected = 412 if condition == "other" else 200
        assert answer.status == expected
        if expected == 200:
            self.model.add(key, Kept("", body, etag_of(body)), answer.headers.get("x-amz-version-id"))

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        answer = self.call("DELETE", key)
        assert answer.status == 204
        assert answer.headers.get("x-amz-delete-marker") == (None if self.model.status == OFF else "true")
        self.model.delete(key, answer.headers.get("x-amz-version-id"))

    @rule(key=KEYS, which=WHICH, bypass=st.booleans())
    def delete_version(self, key: str, which: int | str, bypass: bool) -> None:  # noqa: FBT001
        version = self.pick(key, which)
        headers = {"x-amz-bypass-governance-retention": "true"} if bypass else {}
        answer = self.call("DELETE", key, headers=headers, versionId=version)
        found = self.model.named(key, version)
        if found is not None and found.keeps_its_place(bypass=bypass):
            assert (answer.status, answer.code) == (403, "AccessDenied")
            return
        assert (answer.status, answer.headers["x-amz-version-id"]) == (204, version)
        gone = self.model.remove(key, version)
        was_marker = gone is not None and gone.is_marker
        assert answer.headers.get("x-amz-delete-marker") == ("true" if was_marker else None)

    @rule(key=KEYS, which=WHICH, right=st.booleans())
    def delete_conditionally(self, key: str, which: int | str, right: bool) -> None:  # noqa: FBT001
        version = self.pick(key, which)
        found = self.model.named(key, version)
        wanted = found.etag if right and found is not None and found.etag else etag_of(b"other")
        answer = self.call("DELETE", key, headers={"if-match": wanted}, versionId=version)
        if found is not None and found.etag != wanted:
            assert answer.status == 412
        elif found is not None and found.keeps_its_place(bypass=False):
            assert answer.status == 403
        else:
            assert answer.status == 204
            self.model.remove(key, version)

    @rule(entries=st.lists(st.tuples(KEYS, st.none() | WHICH), min_size=1, max_size=4))
    def delete_several(self, entries: list[tuple[str, int | str | None]]) -> None:
        named = [(key, None if which is None else self.pick(key, which)) for key, which in entries]
        listed = "".join(
            f"<Object><Key>{key}</Key>{f'<VersionId>{version}</VersionId>' if version else ''}</Object>"
            for key, version in named
        )
        answer = self.call("POST", body=f"<Delete>{listed}</Delete>".encode(), delete="")
        told = iter(answer.body.split(b"<Deleted>")[1:])
        refused = 0
        for key, version in named:
            found = self.model.named(key, version)
            if version is not None and found is not None and found.keeps_its_place(bypass=False):
                refused += 1
                continue
            marker = element(Answer(200, {}, next(told)), "DeleteMarkerVersionId") or None
            if version is None:
                self.model.delete(key, marker)
            else:
                gone = self.model.remove(key, version)
                assert marker == (version if gone is not None and gone.is_marker else None)
        assert answer.body.count(b"<Code>AccessDenied</Code>") == refused
        assert next(told, None) is None

    @rule(key=KEYS, which=st.none() | WHICH, to=KEYS, renew=st.booleans())
    def copy(self, key: str, which: int | str | None, to: str, renew: bool) -> None:  # noqa: FBT001
        version = None if which is None else self.pick(key, which)
        source = f"/{self.bucket}/{key}" + (f"?versionId={version}" if version else "")
        headers = {"x-amz-copy-source": source}
        if renew or key == to:
            headers |= {"x-amz-metadata-directive": "REPLACE", "x-amz-meta-note": "copied"}
        answer = self.call("PUT", to, headers=headers)
        found = self.model.named(key, version)
        assert answer.status == self.status_of_source(found, version)
        if answer.status == 200:
            assert found is not None
            assert answer.headers.get("x-amz-copy-source-version-id") == (
                None if self.model.status == OFF else found.id
            )
            note = "copied" if "x-amz-meta-note" in headers else found.note
            new = Kept("", found.body, found.etag, note, found.tags)
            self.model.add(to, new, answer.headers.get("x-amz-version-id"))

    @rule(key=KEYS, which=st.none() | WHICH, tags=TAGS)
    def tag(self, key: str, which: int | str | None, tags: dict[str, str]) -> None:
        version = None if which is None else self.pick(key, which)
        found = self.model.named(key, version)
        listed = "".join(f"<Tag><Key>{name}</Key><Value>{value}</Value></Tag>" for name, value in tags.items())
        document = f"<Tagging><TagSet>{listed}</TagSet></Tagging>".encode()
        answer = self.call("PUT", key, document, tagging="", versionId=version)
        assert answer.status == self.status_of_read(found, version, 200)
        if answer.status == 200:
            assert found is not None
            self.model.amend(key, found, replace(found, tags=tags))

    @rule(target=uploads, key=KEYS)
    def begin(self, key: str) -> str:
        upload = element(self.call("POST", key, uploads=""), "UploadId")
        self.parts[upload] = (key, {})
        return upload

    @rule(upload=uploads, number=st.integers(1, 2), body=BODIES, big=st.sampled_from([False, False, True]))
    def upload_part(self, upload: str, number: int, body: bytes, big: bool) -> None:  # noqa: FBT001
        key, parts = self.parts[upload]
        body = content(PART, len(body)) if big else body
        answer = self.call("PUT", key, body, uploadId=upload, partNumber=str(number))
        assert answer.status == (404 if parts is GONE else 200)
        if parts is not GONE:
            parts[number] = body

    @rule(upload=uploads, number=st.integers(1, 2), key=KEYS, which=st.none() | WHICH)
    def copy_part(self, upload: str, number: int, key: str, which: int | str | None) -> None:
        to, parts = self.parts[upload]
        version = None if which is None else self.pick(key, which)
        found = self.model.named(key, version)
        source = f"/{self.bucket}/{key}" + (f"?versionId={version}" if version else "")
        answer = self.call("PUT", to, headers={"x-amz-copy-source": source}, uploadId=upload, partNumber=str(number))
        if parts is GONE:
            assert answer.status == 404
            return
        assert answer.status == self.status_of_source(found, version)
        if answer.status == 200:
            assert found is not None
            assert found.body is not None
            parts[number] = found.body

    @rule(upload=uploads)
    def complete(self, upload: str) -> None:
        key, parts = self.parts[upload]
        bodies = [parts[number] for number in sorted(parts)]
        listed = "".join(
            f'<Part><PartNumber>{number}</PartNumber><ETag>"{etag_of(parts[number])}"</ETag></Part>'
            for number in sorted(parts)
        )
        document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        answer = self.call("POST", key, document, uploadId=upload)
        if not parts:
            assert answer.status in (400, 404)
            return
        if any(len(body) < PART for body in bodies[:-1]):
            assert (answer.status, answer.code) == (400, "EntityTooSmall")
            return
        assert (answer.status, element(answer, "ETag")) == (200, f"&quot;{multipart_etag_of(bodies)}&quot;")
        new = Kept("", b"".join(bodies), multipart_etag_of(bodies))
        self.model.add(key, new, answer.headers.get("x-amz-version-id"))
        self.parts[upload] = (key, GONE)

    @rule(upload=uploads)
    def abort(self, upload: str) -> None:
        key, parts = self.parts[upload]
        assert self.call("DELETE", key, uploadId=upload).status == (404 if parts is GONE else 204)
        self.parts[upload] = (key, GONE)

    @rule(key=KEYS, which=st.none() | WHICH)
    def read(self, key: str, which: int | str | None) -> None:
        self.look(key, None if which is None else self.pick(key, which))

    def look(self, key: str, version: str | None) -> None:
        found = self.model.named(key, version)
        answer = self.call("GET", key, versionId=version)
        assert answer.status == self.status_of_read(found, version, 200)
        if found is None:
            assert answer.code == ("NoSuchKey" if version is None else "NoSuchVersion")
            return
        told = None if self.model.status == OFF and version is None else found.id
        assert answer.headers.get("x-amz-version-id") == told
        if found.is_marker:
            assert answer.headers["x-amz-delete-marker"] == "true"
            return
        assert (answer.body, answer.headers["etag"]) == (found.body, f'"{found.etag}"')
        assert answer.headers.get("x-amz-meta-note", "") == found.note
        assert answer.headers.get("x-amz-tagging-count", "0") == str(len(found.tags))
        self.look_at_lock(found, answer)
        tags = self.call("GET", key, tagging="", versionId=version)
        assert {name.decode(): value.decode() for name, value in _TAG.findall(tags.body)} == found.tags

    def look_at_lock(self, found: Kept, answer: Answer) -> None:
        assert answer.headers.get("x-amz-object-lock-mode", "") == found.mode
        if found.until > TOMORROW:
            assert answer.headers["x-amz-object-lock-retain-until-date"].startswith(f"{found.until}-01-01")
        if found.hold:
            assert answer.headers["x-amz-object-lock-legal-hold"] == "ON"

    @rule(limit=st.integers(1, 5))
    def list_versions(self, limit: int) -> None:
        assert [entry for page in self.version_pages(limit) for entry in page] == [
            (each.is_marker, key, each.id, latest) for key, each, latest in self.model.versions()
        ]

    @rule()
    def list_objects(self) -> None:
        answer = self.call("GET", list_type="2", delimiter="/")
        live = [key for key in sorted(self.model.chains) if self.model.live(key)]
        keys = re.findall(rb"<Contents><Key>([^<]*)</Key>", answer.body)
        assert [key.decode() for key in keys] == [key for key in live if "/" not in key]
        assert (b"<Prefix>a/</Prefix>" in answer.body) == any("/" in key for key in live)

    def teardown(self) -> None:
        for key in "a", "a/b", "a/c", "b":
            for version in (None, *(each.id for each in self.model.chains.get(key, []))):
                self.look(key, version)
        self.list_versions(1000)
        self.check_database()
        if self.model.chains:
            assert self.call("DELETE").status == 409
        if not any(each.hold or each.mode for _, each, _ in self.model.versions()):
            for key, each, _ in self.model.versions():
                self.call("DELETE", key, versionId=each.id)
            assert self.call("DELETE").status == 204


GONE: dict[int, bytes] = {}


@pytest.mark.parametrize(
    "examples", [pytest.param(60, id="bounded"), pytest.param(20_000, id="full", marks=pytest.mark.long)]
)
def test_a_bucket_holds_what_a_dict_would(store: InProcessStore, examples: int) -> None:
    machine = type("Machine", (BucketMachine,), {"store": store})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
