"""Takes a form in up to its file, and says who sent it and what it asks for.

The signature of a form lies in its body, so this is its verification: nothing that a field says is acted on before the
policy's signature is proven and its conditions are met. The file itself comes later, as the handler reads it, and a
policy's limit of its size is held to while it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aiohttp import web

from cyxcloud.objects.principal import ANONYMOUS, Principal
from s3gw.body import BodyPlan, plan_body
from s3gw.credentials import Credentials
from s3gw.errors import Code, S3Error
from s3gw.intake import RequestBody
from s3gw.post.fields import check_present, headers_of, merge_fields, signature_of
from s3gw.post.multipart import FormDecoder, boundary_of
from s3gw.post.policy import MAX_SIZE, check_policy, parse_policy
from s3gw.resolve import MAX_KEY_BYTES
from s3gw.sigv2.verify import unknown_key
from s3gw.sigv4 import Anonymous, SignatureError, SignatureFault
from s3gw.sigv4.authorization import MISMATCH
from s3gw.sigv4.payload import UNSIGNED
from s3gw.sigv4.verify import in_bytes

# Headers of the request that describe the form and not the object.
_OF_THE_FORM = frozenset(
    ("content-type", "content-length", "content-encoding", "content-md5", "expires", "cache-control")
)


class Form(NamedTuple):
    """`headers` are those that a PUT of the object would have; `fields` by lower-case name."""

    principal: Principal
    key: bytes
    headers: dict[str, str]
    fields: Mapping[str, str]
    body: RequestBody


class Endpoint(NamedTuple):
    """Where the form was sent, with the headers of its request."""

    bucket: str
    headers: Mapping[str, str]
    region: str


class _FormBody(RequestBody):
    """The file within a form; how long it is shows when it ends."""

    def __init__(self, request: web.BaseRequest, decoder: FormDecoder) -> None:
        super().__init__(request, BodyPlan(_NOBODY, framed=False, size=None, md5=None, checksum=None))
        self._decoder = decoder

    async def begin(self, decoder: FormDecoder) -> None:
        """Until all fields are in; what came of the file by then is kept for its reader."""
        while not decoder.is_at_file:
            if not await self._receive() and not decoder.is_at_file:
                return

    def expect(self, plan: BodyPlan) -> None:
        self.checked = plan.md5 is not None or plan.checksum is not None
        self._plan = plan
        self._verifier = plan.verifier()


_NOBODY = Anonymous(UNSIGNED)


async def receive(request: web.BaseRequest, to: Endpoint, credentials: Credentials, now_ms: int) -> Form:
    decoder = FormDecoder(boundary_of(to.headers.get("content-type")))
    body = _FormBody(request, decoder)
    await body.begin(decoder)
    fields = merge_fields(decoder.fields, decoder.file_name)
    check_present(fields, has_file=decoder.has_file)
    principal = _signer(fields, credentials, to.region)
    if "policy" in fields:
        policy = parse_policy(fields["policy"])
        check_policy(policy, fields | {"bucket": to.bucket}, now_ms)
        decoder.limit(policy.least, policy.most)
    else:
        decoder.limit(0, MAX_SIZE)
    key = fields["key"].encode()
    if len(key) > MAX_KEY_BYTES:
        raise S3Error(Code.KEY_TOO_LONG, size=len(key), max_size_allowed=MAX_KEY_BYTES)
    meant = _request_headers(to.headers) | headers_of(fields)
    body.expect(plan_body(meant, _NOBODY))
    return Form(principal, key, meant, fields, body)


def _signer(fields: Mapping[str, str], credentials: Credentials, region: str) -> Principal:
    signature = signature_of(fields, region)
    if signature is None:
        return ANONYMOUS
    credential = credentials.find(signature.access_key)
    if credential is None:
        raise unknown_key(signature.access_key)
    if not signature.is_signed_by(credential.secret):
        raise SignatureError(
            SignatureFault.SIGNATURE_DOES_NOT_MATCH,
            MISMATCH,
            AWSAccessKeyId=signature.access_key,
            StringToSign=signature.text,
            SignatureProvided=signature.signature,
            StringToSignBytes=in_bytes(signature.text),
        )
    return credential.principal


def _request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value for name, value in headers.items() if name not in _OF_THE_FORM and not name.startswith("x-amz-")
    }
    # How HTTP says that a length is not known beforehand.
    return kept | {"transfer-encoding": "chunked"}
