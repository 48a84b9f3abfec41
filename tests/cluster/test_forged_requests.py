"""R23: no request that is not signed as it should be is carried out, whichever operation it asks for.

Each case is sent to a running store and must be refused with 400 or 403; then every row that makes anything visible
must be as before. The same requests, left right, succeed: that is what makes the refusals mean something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.cluster import forgeries as forge
from tests.cluster import forgery_cases as cases
from tests.cluster.forgeries import Case
from tests.cluster.running import Running
from tests.cluster.s3 import S3, Endpoint, Request, completion, object_path

# Two chunks of a chunked body, and too big to be inline: its shards are written before the last check fails.
BODY = bytes(range(256)) * 80
Sign = Callable[[Request, Case, Endpoint], Request]
SIGNED_META = ("x-amz-meta-signed", "1")


@dataclass(frozen=True, slots=True)
class Scene:
    """One bucket with what the operations need."""

    bucket: str
    upload: str
    etag: str

    def request(self, operation: str, key: str) -> Request:
        path = object_path(self.bucket, key)
        match operation:
            case "Put":
                return Request("PUT", path, body=BODY, headers=(SIGNED_META,))
            case "UploadPart":
                part = (("partNumber", "2"), ("uploadId", self.upload))
                return Request("PUT", object_path(self.bucket, "assembled"), part, body=BODY, headers=(SIGNED_META,))
            case "Complete":
                query = (("uploadId", self.upload),)
                path = object_path(self.bucket, "assembled")
                return Request("POST", path, query, body=completion([self.etag]), headers=(SIGNED_META,))
            case "Copy":
                source = ("x-amz-copy-source", f"/{self.bucket}/victim")
                return Request("PUT", path, headers=(SIGNED_META, source))
            case _:
                return Request("DELETE", object_path(self.bucket, "victim"), headers=(SIGNED_META,))


async def scene(s3: S3, bucket: str) -> Scene:
    await s3.put(bucket, "victim", b"must stay")
    await s3.put(bucket, "other", b"of nobody's business")
    upload = await s3.begin_upload(bucket, "assembled")
    return Scene(bucket, upload, await s3.put_part(bucket, "assembled", upload, 1, BODY))


BODIES = ("Put", "UploadPart")
EVERY = ("Put", "UploadPart", "Complete", "Copy", "Delete")
MATRIX: list[tuple[str, Sign, tuple[str, ...], list[Case]]] = [
    ("header", forge.by_header, EVERY, cases.IN_HEADER),
    ("header-document", forge.by_header, ("Complete",), cases.WHOLE_BODY),
    ("header-body", forge.by_header, BODIES, cases.CHECKSUMMED_BODY),
    ("query", forge.by_query, EVERY, cases.IN_QUERY),
    ("signed-chunks", forge.by_signed_chunks, BODIES, cases.IN_HEADER + cases.CHUNKS_SIGNED),
    ("signed-trailer", forge.by_signed_trailer, BODIES, cases.IN_HEADER + cases.TRAILER_SIGNED),
    ("unsigned-trailer", forge.by_unsigned_trailer, BODIES, cases.IN_HEADER + cases.TRAILER_UNSIGNED),
    ("anonymous", forge.anonymous, EVERY, cases.ANONYMOUS),
]


@pytest.mark.parametrize("row", [pytest.param(row[1:], id=row[0]) for row in MATRIX])
async def test_forged_request_is_refused_and_nothing_written(
    s3: S3, bucket: str, unharmed: Running, row: tuple[Sign, tuple[str, ...], list[Case]]
) -> None:
    sign, operations, wrong = row
    stage = await scene(s3, bucket)
    before, accepted, wrote = unharmed.visible(), [], []
    for operation in operations:
        for at, case in enumerate(wrong):
            request = sign(stage.request(operation, f"new-{at}"), case, s3.endpoint)
            answer = await s3.send(request, seconds=10)
            if answer.status not in {400, 403} | case.also:
                accepted.append(f"{operation}, {case.name}: {answer.status} {answer.code}")
            if unharmed.visible() != before:
                wrote.append(f"{operation}, {case.name}")
                before = unharmed.visible()
    assert not accepted, "\n".join(accepted)
    assert not wrote, "\n".join(wrote)
    assert await s3.get(bucket, "victim") == b"must stay"
    await _right_ones_succeed(s3, stage, sign, operations)


async def _right_ones_succeed(s3: S3, stage: Scene, sign: Sign, operations: tuple[str, ...]) -> None:
    for operation in operations:
        request = sign(stage.request(operation, "right"), Case("right"), s3.endpoint)
        if sign is forge.anonymous:
            request = forge.by_header(request, Case("right"), s3.endpoint)
        answer = await s3.send(request)
        assert answer.ok, (operation, answer.status, answer.body)
    expected = {"Put": BODY, "Copy": b"must stay"}
    if operations[-1] in expected:
        assert await s3.get(stage.bucket, "right") == expected[operations[-1]]


def test_matrix_is_as_wide_as_promised() -> None:
    names = {case.name for row in MATRIX for case in row[3]}
    requests = sum(len(row[2]) * len(row[3]) for row in MATRIX)
    assert len(names) >= 60
    assert requests >= 900


@pytest.mark.parametrize("sign", [forge.by_header, forge.by_signed_chunks, forge.by_unsigned_trailer])
async def test_body_cut_off_is_never_an_object(s3: S3, bucket: str, unharmed: Running, sign: Sign) -> None:
    """The client goes away in mid-body: what came is no object, however much it was."""
    before = unharmed.visible()
    for kept in (0, 1, len(BODY) // 2, len(BODY) - 1):
        request = sign(Request("PUT", object_path(bucket, "cut"), body=BODY), Case("right"), s3.endpoint)
        length = str(len(request.body))
        request = replace(request.with_header("Content-Length", length), body=request.body[:kept])
        lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {s3.endpoint}"]
        lines += [f"{name}: {value}" for name, value in request.headers]
        _, writer = await asyncio.open_connection(s3.endpoint.host, s3.endpoint.port)
        writer.write("\r\n".join([*lines, "", ""]).encode() + request.body)
        await writer.drain()
        writer.transport.abort()
    assert (await s3.call("HEAD", object_path(bucket, "cut"))).status == 404
    assert unharmed.visible() == before
