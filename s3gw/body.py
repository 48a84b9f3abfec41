"""What a request promises about its body, and whether the body kept it (pure).

`plan_body` reads the promises before a byte is asked for, so that a client waiting for 100-continue hears of a bad
header at once. The body then goes through the plan's decoder and, decoded, through its verifier; both `finish` calls
must have returned before anything is committed. Hashing is plain code that frees the interpreter lock: run it in a
thread, in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cyxcloud.core.checksums import Algorithm, Buffer, Hasher, decode_digest, encode_digest, new_hasher
from s3gw.aws_chunked import AwsChunkedDecoder, BodyDecoder, PlainDecoder
from s3gw.body_errors import BodyError, BodyFault
from s3gw.checksums import ExpectedChecksum, header_name, parse_checksum, parse_digest
from s3gw.signatures import Caller
from s3gw.sigv4 import PayloadKind, Verified, header

Headers = Mapping[str, str | list[str]]

DECODED_LENGTH = "x-amz-decoded-content-length"
_AWS_CHUNKED = "aws-chunked"
# Far beyond any size S3 allows; the operation's own limit is checked by whoever knows the operation.
_MAX_LENGTH_DIGITS = 18


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """`size` is that of the content, None when only HTTP's own chunking tells its end."""

    auth: Caller
    framed: bool
    size: int | None
    md5: bytes | None
    checksum: ExpectedChecksum | None

    def decoder(self) -> BodyDecoder:
        if not self.framed:
            return PlainDecoder(self.size)
        assert self.size is not None
        chain = None
        if isinstance(self.auth, Verified) and self.auth.payload.kind.signed_chunks:
            chain = self.auth.chunk_chain()
        expected = self.checksum
        trailers = (header_name(expected.algorithm),) if expected is not None and expected.digest is None else ()
        return AwsChunkedDecoder(self.size, chain, trailers)

    def verifier(self, default: Algorithm | None = None) -> BodyVerifier:
        """`default` is computed when the client names no checksum of its own."""
        return BodyVerifier(self.auth.payload.sha256, self.md5, self.checksum, default)


@dataclass(frozen=True, slots=True)
class BodyDigests:
    size: int
    md5: bytes
    checksum: Algorithm | None
    digest: bytes | None


def plan_body(headers: Headers, auth: Caller, *, checksum_is_body: bool = True) -> BodyPlan:
    """`checksum_is_body` is false where x-amz-checksum-* describes something else, as in CompleteMultipartUpload."""
    framed = _is_framed(headers, auth.payload.kind)
    checksum = parse_checksum(headers) if checksum_is_body else None
    in_trailer = checksum is not None and checksum.digest is None
    if in_trailer and (not framed or auth.payload.kind is PayloadKind.SIGNED_CHUNKS):
        raise BodyError(BodyFault.INVALID_REQUEST, "x-amz-trailer is given, but this payload has no trailer.")
    return BodyPlan(auth, framed, _content_size(headers, framed=framed), _content_md5(headers), checksum)


def _is_framed(headers: Headers, kind: PayloadKind) -> bool:
    if kind.chunked:
        return True
    # An SDK that does not sign leaves x-amz-content-sha256 out, and frames the body all the same.
    return (
        kind is PayloadKind.UNSIGNED
        and DECODED_LENGTH in headers
        and _AWS_CHUNKED in (header(headers, "content-encoding") or "")
    )


def _content_size(headers: Headers, *, framed: bool) -> int | None:
    name = DECODED_LENGTH if framed else "content-length"
    text = header(headers, name)
    if text is None:
        if framed:
            raise BodyError(
                BodyFault.MISSING_CONTENT_LENGTH, "You must provide the Content-Length HTTP header.", Header=name
            )
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_LENGTH_DIGITS):
        raise BodyError(
            BodyFault.INVALID_ARGUMENT, f"Value for {name} header is invalid.", ArgumentName=name, ArgumentValue=text
        )
    return int(text)


def _content_md5(headers: Headers) -> bytes | None:
    text = header(headers, "content-md5")
    if text is None:
        return None
    digest = decode_digest(text, hashlib.md5(usedforsecurity=False).digest_size)
    if digest is None:
        raise BodyError(BodyFault.INVALID_DIGEST, "The Content-MD5 you specified was invalid.", **{"Content-MD5": text})
    return digest


class BodyVerifier:
    """Everything that is hashed over a body's content: its MD5, which is the ETag, and what the client promised."""

    def __init__(
        self,
        sha256: bytes | None = None,
        md5: bytes | None = None,
        expected: ExpectedChecksum | None = None,
        default: Algorithm | None = None,
    ) -> None:
        self._expected_sha256 = sha256
        self._expected_md5 = md5
        self._expected = expected
        self._algorithm = expected.algorithm if expected else default
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256() if sha256 is not None else None
        self._hasher = self._choose_hasher()
        self._hashers: list[Hasher] = [self._md5]
        if self._sha256 is not None:
            self._hashers.append(self._sha256)
        if self._hasher is not None and self._hasher is not self._sha256:
            self._hashers.append(self._hasher)

    def _choose_hasher(self) -> Hasher | None:
        if self._algorithm is None:
            return None
        if self._algorithm is Algorithm.SHA256 and self._sha256 is not None:
            return self._sha256
        return new_hasher(self._algorithm)

    def update(self, data: Buffer) -> None:
        view = memoryview(data)
        self._size += view.nbytes
        for hasher in self._hashers:
            hasher.update(view)

    def finish(self, trailers: Mapping[str, str]) -> BodyDigests:
        """What was stored; raises when it is not what was promised."""
        md5 = self._md5.digest()
        digest = self._hasher.digest() if self._hasher else None
        self._check_sha256()
        self._check_md5(md5)
        if self._expected and digest is not None:
            _check_checksum(self._expected, digest, trailers)
        return BodyDigests(self._size, md5, self._algorithm, digest)

    def _check_sha256(self) -> None:
        if self._sha256 is None or self._expected_sha256 is None:
            return
        computed = self._sha256.digest()
        if computed != self._expected_sha256:
            raise BodyError(
                BodyFault.CONTENT_SHA256_MISMATCH,
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                ClientComputedContentSHA256=self._expected_sha256.hex(),
                S3ComputedContentSHA256=computed.hex(),
            )

    def _check_md5(self, md5: bytes) -> None:
        if self._expected_md5 is not None and md5 != self._expected_md5:
            raise BodyError(
                BodyFault.BAD_DIGEST,
                "The Content-MD5 you specified did not match what we received.",
                ExpectedDigest=self._expected_md5.hex(),
                CalculatedDigest=encode_digest(md5),
            )


def _check_checksum(expected: ExpectedChecksum, computed: bytes, trailers: Mapping[str, str]) -> None:
    algorithm = expected.algorithm
    promised = expected.digest
    if promised is None:
        promised = parse_digest(algorithm, trailers.get(header_name(algorithm), ""))
    if promised != computed:
        raise BodyError(
            BodyFault.BAD_DIGEST, f"The {algorithm.value} you specified did not match the calculated checksum."
        )


def stored_content_encoding(value: str | None) -> str | None:
    """An object's Content-Encoding once aws-chunked, which was only for the way here, is off; the others stay as they
    were written."""
    if value is None or _AWS_CHUNKED not in value.lower():
        return value
    kept = [coding for coding in value.split(",") if coding.strip().lower() != _AWS_CHUNKED]
    return ",".join(kept).strip() or None
