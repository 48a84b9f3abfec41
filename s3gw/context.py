"""What a handler is given and what it gives back. No handler sees aiohttp, and nothing travels but in these."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from cyxcloud.meta.cause import Cause
from cyxcloud.meta.reads import ObjectRead
from cyxcloud.meta.rows import BucketRow
from cyxcloud.objects.bucket_config import NOTHING_CONFIGURED, BucketConfig
from cyxcloud.objects.principal import Principal
from cyxcloud.objects.store import Store
from cyxcloud.shards.frames import Buffer
from s3gw.operations import Operation

if TYPE_CHECKING:
    from s3gw.intake import RequestBody

Headers = Mapping[str, str]


class RequestContext(NamedTuple):
    """One request, verified and authorised. `headers` have lower-case names; `row` is the bucket where one is named,
    `config` what it is configured with; `address` is the client's, without a port."""

    request_id: str
    operation: Operation
    bucket_name: str | None
    key_bytes: bytes | None
    row: BucketRow | None
    found: ObjectRead | None
    query: Mapping[str, str]
    headers: Headers
    principal: Principal
    incoming: RequestBody | None
    store: Store
    region: str
    scheme: str
    config: BucketConfig = NOTHING_CONFIGURED
    address: str = ""
    form: Mapping[str, str] | None = None
    """The fields of POST Object by lower-case name."""

    @property
    def bucket(self) -> BucketRow:
        assert self.row is not None, "the operation's row names a bucket, so the pipeline has found it"
        return self.row

    @property
    def body(self) -> RequestBody:
        assert self.incoming is not None, "the operation's row says that it has a body"
        return self.incoming

    def cause(self, event: str) -> Cause:
        """Of a change that this request makes; `event` is its name in S3's notifications."""
        return Cause(event, self.principal.canonical_id, self.address, self.request_id)

    @property
    def key(self) -> bytes:
        assert self.key_bytes is not None
        return self.key_bytes


class Response(NamedTuple):
    """`body` is all of it, or pieces of it with `length` bytes in all. `keys`: what a request for several was about."""

    status: int
    headers: dict[str, str]
    body: Buffer | AsyncIterator[Buffer] = b""
    length: int | None = None
    keys: tuple[bytes, ...] = ()


def xml_response(document: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(status, {"Content-Type": "application/xml"} | (headers or {}), document)
