"""Everything that can be wrong with a signed request, by the way in which it is signed (R23)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.cluster.forgeries import (
    NO_LENGTH,
    UNBUILT,
    UNSIGNED_TRAILER,
    Case,
    Framed,
    ago,
    authorization,
    bad_query_signature,
    bad_signature,
    body,
    crc32_of,
    doubled_slash,
    flipped_hex,
    header,
    no_header,
    no_parameter,
    other_bucket,
    other_key,
    parameter,
    presigned_as_well,
    twice,
)
from tests.cluster.running import ROOT
from tests.cluster.s3 import Key

# How any signed request can be wrong


SIGNED = [
    Case("wrong secret", {"key": Key(ROOT.access, "root-secret2")}),
    Case("empty secret", {"key": Key(ROOT.access, "")}),
    Case("unknown access key", {"key": Key("NOSUCHKEY", ROOT.secret)}),
    Case("access key in lower case", {"key": Key(ROOT.access.lower(), ROOT.secret)}),
    Case("empty access key", {"key": Key("", ROOT.secret)}),
    Case("wrong region", {"region": "eu-west-1"}),
    Case("empty region", {"region": ""}),
    Case("wrong service", {"service": "ec2"}),
    Case("wrong terminator", {"terminator": "aws4_reques"}),
    Case("scope of another day", {"scope_date": "20200101"}),
    Case("scope date malformed", {"scope_date": "2020"}),
    Case("an hour in the future", ago(minutes=-60)),
    Case("a year in the future", ago(days=-365)),
    Case("host not signed", {"unsigned": frozenset({"host"})}),
    Case("other key", spoil=other_key),
    Case("other bucket", spoil=other_bucket),
    Case("slash added to the key", spoil=doubled_slash),
    Case("parameter added", spoil=parameter("x-id", "PutObject")),
    Case("response parameter added", spoil=parameter("response-content-type", "text/html"), also=UNBUILT),
    Case("versionId added", spoil=parameter("versionId", "null"), also=UNBUILT),
    Case("other host", spoil=header("Host", "elsewhere.example:80")),
    Case("acl header added", spoil=header("x-amz-acl", "public-read"), also=UNBUILT),
    Case("metadata added", spoil=header("x-amz-meta-added", "1")),
    Case("storage class added", spoil=header("x-amz-storage-class", "STANDARD"), also=UNBUILT),
    Case("copy source added or changed", spoil=header("x-amz-copy-source", "/victims/other"), also=UNBUILT),
    Case("unsigned token", spoil=header("x-amz-security-token", "token")),
    Case("signed header changed", spoil=header("x-amz-meta-signed", "2")),
    Case("signed header removed", spoil=no_header("x-amz-meta-signed")),
    Case("signed header twice", spoil=twice("x-amz-meta-signed")),
]

IN_HEADER = [
    *SIGNED,
    Case("16 minutes ago", ago(minutes=16)),
    Case("yesterday", ago(days=1)),
    Case("signature changed", spoil=bad_signature),
    Case("signature cut", spoil=authorization(r".$", "")),
    Case("signature empty", spoil=authorization(r"Signature=.*", "Signature=")),
    Case("signature in capitals", spoil=authorization(r"Signature=.*", "Signature=" + "A" * 64)),
    Case("signature of zeros", spoil=authorization(r"Signature=.*", "Signature=" + "0" * 64)),
    Case("signature missing", spoil=authorization(r", Signature=.*", "")),
    Case("signature twice", spoil=authorization(r"(Signature=.*)", r"\1, \1")),
    Case("credential missing", spoil=authorization(r"Credential=[^,]*, ", "")),
    Case("credential without scope", spoil=authorization(r"Credential=[^,]*", f"Credential={ROOT.access}")),
    Case("credential with a longer scope", spoil=authorization(r"Credential=([^,]*)", r"Credential=\1/more")),
    Case("other's credential", spoil=authorization(ROOT.access, "OTHERKEY")),
    Case("signed headers missing", spoil=authorization(r"SignedHeaders=[^,]*, ", "")),
    Case("signed headers empty", spoil=authorization(r"SignedHeaders=[^,]*", "SignedHeaders=")),
    Case("host dropped from signed headers", spoil=authorization(r"host;", "")),
    Case("header dropped from signed headers", spoil=authorization(r";x-amz-meta-signed", "")),
    Case("signed header that is not there", spoil=authorization(r"host;", "host;if-match;")),
    Case("algorithm sha1", spoil=authorization(r"AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1")),
    Case("algorithm none", spoil=authorization(r"AWS4-HMAC-SHA256", "none")),
    Case("algorithm missing", spoil=authorization(r"AWS4-HMAC-SHA256 ", "")),
    Case("version 2", spoil=header("Authorization", f"AWS {ROOT.access}:c2lnbmF0dXJl")),
    Case("bearer", spoil=header("Authorization", "Bearer root-secret")),
    Case("basic", spoil=header("Authorization", "Basic Uk9PVEtFWTpyb290LXNlY3JldA==")),
    Case("authorization empty", spoil=header("Authorization", "")),
    Case("authorization garbage", spoil=header("Authorization", "AWS4-HMAC-SHA256 ,,,===")),
    Case("authorization twice", spoil=twice("Authorization")),
    Case("also presigned", spoil=presigned_as_well),
    Case(
        "date changed", spoil=lambda r: header("x-amz-date", flipped_hex((r.header("x-amz-date") or "")[:-1]) + "Z")(r)
    ),
    Case("date removed", spoil=no_header("x-amz-date")),
    Case("date malformed", spoil=header("x-amz-date", "yesterday")),
    Case("date twice", spoil=twice("x-amz-date")),
    Case("content hash removed", spoil=no_header("x-amz-content-sha256")),
    Case("content hash malformed", spoil=header("x-amz-content-sha256", "zz")),
    Case("content hash of nothing", spoil=header("x-amz-content-sha256", hashlib.sha256(b"").hexdigest()[::-1])),
    Case("content declared unsigned", spoil=header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")),
    Case("content declared chunked", spoil=header("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER2")),
]

# Of a body that is sent as it is and signed by its hash
WHOLE_BODY = [
    Case("body changed", spoil=body(lambda body: body[:-1] + bytes([body[-1] ^ 1]))),
    Case("body cut", spoil=body(lambda body: body[:-1])),
    Case("body longer", spoil=body(lambda body: body + b"x")),
    Case("body gone", spoil=body(lambda _: b"")),
    Case("wrong md5", before=header("Content-MD5", base64.b64encode(b"0" * 16).decode())),
    Case("malformed md5", before=header("Content-MD5", "nonsense")),
    Case("md5 changed", spoil=header("Content-MD5", base64.b64encode(b"0" * 16).decode())),
]
CHECKSUMMED_BODY = [
    *WHOLE_BODY,
    Case("wrong crc32", before=header("x-amz-checksum-crc32", "AAAAAA==")),
    Case("wrong sha256", before=header("x-amz-checksum-sha256", base64.b64encode(b"0" * 32).decode())),
    Case("malformed crc32c", before=header("x-amz-checksum-crc32c", "no")),
]

IN_QUERY = [
    *SIGNED,
    Case("expired", ago(seconds=1000)),
    Case("expired long ago", ago(days=3)),
    Case("expires at once", {"expires": "0"}),
    Case("expires before", {"expires": "-1"}),
    Case("expires too late", {"expires": "604801"}),
    Case("expires never", {"expires": "soon"}),
    Case("expiry missing", spoil=no_parameter("X-Amz-Expires")),
    Case("expiry changed", spoil=parameter("X-Amz-Expires", "86400")),
    Case("signature changed", spoil=bad_query_signature),
    Case("signature missing", spoil=no_parameter("X-Amz-Signature")),
    Case("signature empty", spoil=parameter("X-Amz-Signature", "")),
    Case("signature twice", spoil=lambda r: replace(r, query=(*r.query, r.query[-1]))),
    Case("algorithm missing", spoil=no_parameter("X-Amz-Algorithm")),
    Case("algorithm sha1", spoil=parameter("X-Amz-Algorithm", "AWS4-HMAC-SHA1")),
    Case("credential missing", spoil=no_parameter("X-Amz-Credential")),
    Case("credential malformed", spoil=parameter("X-Amz-Credential", ROOT.access)),
    Case("date missing", spoil=no_parameter("X-Amz-Date")),
    Case("date malformed", spoil=parameter("X-Amz-Date", "20260101")),
    Case("date changed", spoil=parameter("X-Amz-Date", "20260101T000000Z")),
    Case("signed headers missing", spoil=no_parameter("X-Amz-SignedHeaders")),
    Case("signed headers changed", spoil=parameter("X-Amz-SignedHeaders", "host")),
    Case("hoisted header added", spoil=parameter("x-amz-acl", "public-read"), also=UNBUILT),
    Case("hoisted copy source added", spoil=parameter("x-amz-copy-source", "/victims/other"), also=UNBUILT),
    Case("content hash of another body", before=header("x-amz-content-sha256", "0" * 64)),
]


def _chunk(at: int, change: Callable[[bytes], bytes]) -> Callable[[Framed], None]:
    def spoil(framed: Framed) -> None:
        framed.chunks[at] = change(framed.chunks[at])

    return spoil


def _size(at: int, text: str) -> Callable[[Framed], None]:
    def spoil(framed: Framed) -> None:
        framed.sizes = [f"{len(chunk):x}" for chunk in framed.chunks[:at]] + [text]

    return spoil


def _set(**values: Any) -> Callable[[Framed], None]:
    def spoil(framed: Framed) -> None:
        for name, value in values.items():
            setattr(framed, name, value)

    return spoil


def _end_missing(framed: Framed) -> None:
    """As if the connection had been cut after the last chunk with data, at an honest Content-Length."""
    framed.signatures.clear()
    framed.trailer = framed.end = ""
    framed.sizes = []
    framed.chunks.append(b"")


CHUNKED = [
    Case("chunk changed", chunks=_chunk(0, lambda data: b"!" + data[1:])),
    Case("later chunk changed", chunks=_chunk(1, lambda data: data[:-1] + b"!")),
    Case("chunk dropped", chunks=lambda framed: framed.chunks.pop()),  # type: ignore[arg-type]
    Case("chunk repeated", chunks=lambda framed: framed.chunks.append(framed.chunks[-1])),
    Case("chunks swapped", chunks=lambda framed: framed.chunks.reverse()),
    Case("size too big", chunks=_size(0, "ffff")),
    Case("size too small", chunks=_size(0, "1")),
    Case("size huge", chunks=_size(0, "f" * 16)),
    Case("size endless", chunks=_size(0, "0" * 5000 + "1")),
    Case("size negative", chunks=_size(0, "-1")),
    Case("size no number", chunks=_size(0, "xyz")),
    Case("size with prefix", chunks=_size(0, "0x4268")),
    Case("size with underscore", chunks=_size(0, "4_268")),
    Case("size empty", chunks=_size(0, "")),
    Case("bytes after the end", chunks=_set(end="\r\nmore")),
    Case("end cut off", spoil=lambda r: replace(r, body=r.body[:-2])),
    Case("body cut off", spoil=lambda r: replace(r, body=r.body[: len(r.body) // 2])),
    Case("not chunked at all", spoil=lambda r: replace(r, body=b"plain body " * 4000)),
    Case("empty body", spoil=lambda r: replace(r, body=b"")),
    Case("decoded length missing", before=no_header("x-amz-decoded-content-length"), also=NO_LENGTH),
    Case("decoded length too small", before=header("x-amz-decoded-content-length", "7")),
    Case("decoded length too big", before=header("x-amz-decoded-content-length", "9999999")),
    Case("decoded length negative", before=header("x-amz-decoded-content-length", "-1")),
    Case("decoded length changed", spoil=header("x-amz-decoded-content-length", "7")),
    Case("bare line feeds", spoil=lambda r: replace(r, body=r.body.replace(b"\r\n", b"\n"))),
]

CHUNKS_SIGNED = [
    *CHUNKED,
    Case("first chunk signature", chunks=lambda f: f.signatures.__setitem__(0, flipped_hex(f.signatures[0]))),
    Case("last chunk signature", chunks=lambda f: f.signatures.__setitem__(-1, flipped_hex(f.signatures[-1]))),
    Case("chunk signatures missing", chunks=lambda f: f.signatures.clear()),
    Case("chunk signatures swapped", chunks=lambda f: f.signatures.reverse()),
    Case("chunk signature empty", chunks=lambda f: f.signatures.__setitem__(0, "")),
    Case("unannounced trailer", chunks=_set(trailer="x-amz-checksum-sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n")),
]

TRAILED = [
    Case("trailer missing", chunks=_set(trailer="")),
    Case("trailer of another body", chunks=lambda f: _set(trailer=_other_checksum(f.trailer))(f)),
    Case("trailer malformed", chunks=_set(trailer="x-amz-checksum-crc32:nonsense\r\n")),
    Case("trailer empty", chunks=_set(trailer="x-amz-checksum-crc32:\r\n")),
    Case("trailer without colon", chunks=_set(trailer="x-amz-checksum-crc32\r\n")),
    Case("trailer of another name", chunks=lambda f: _set(trailer=f.trailer.replace("crc32:", "crc32c:"))(f)),
    Case("trailer twice", chunks=lambda f: _set(trailer=f.trailer * 2)(f)),
    Case("trailer too long", chunks=lambda f: _set(trailer=f.trailer + "x-amz-meta-x:" + "y" * 70_000 + "\r\n")(f)),
    Case("other trailer announced", before=header("x-amz-trailer", "x-amz-checksum-sha256")),
    Case("announcement changed", spoil=header("x-amz-trailer", "x-amz-checksum-sha256")),
]

TRAILER_SIGNED = [
    *CHUNKS_SIGNED,
    *TRAILED,
    Case("trailer signature changed", chunks=lambda f: _set(trailer=_bad_trailer_signature(f.trailer))(f)),
    Case("trailer signature missing", chunks=lambda f: _set(trailer=f.trailer.partition("x-amz-trailer-s")[0])(f)),
]

TRAILER_UNSIGNED = [*CHUNKED, *TRAILED]

ANONYMOUS = [
    Case("nothing at all"),
    Case("date only", spoil=header("x-amz-date", "20260101T000000Z")),
    Case("content hash only", spoil=header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")),
    Case("authorization empty", spoil=header("Authorization", "")),
    Case("authorization of one word", spoil=header("Authorization", "AWS4-HMAC-SHA256")),
    Case("access key alone", spoil=header("Authorization", f"AWS4-HMAC-SHA256 Credential={ROOT.access}")),
    Case("version 2 parameters", spoil=lambda r: replace(r, query=(*r.query, ("AWSAccessKeyId", ROOT.access), ("Signature", "x"), ("Expires", "9999999999")))),
    Case("credential parameter alone", spoil=parameter("X-Amz-Credential", f"{ROOT.access}/20260101/us-east-1/s3/aws4_request")),
    Case("algorithm parameter alone", spoil=parameter("X-Amz-Algorithm", "AWS4-HMAC-SHA256")),
    Case("signature parameter alone", spoil=parameter("X-Amz-Signature", "0" * 64)),
    Case("unsigned chunks", spoil=lambda r: r.with_header("x-amz-content-sha256", UNSIGNED_TRAILER), also=NO_LENGTH),
    Case("cookie", spoil=header("Cookie", f"access={ROOT.access}; secret={ROOT.secret}")),
    Case("forwarded user", spoil=header("X-Forwarded-User", "root")),
    Case("owner's acl", spoil=header("x-amz-acl", "public-read-write"), also=UNBUILT),
]  # fmt: skip


def _other_checksum(trailer: str) -> str:
    return re.sub(r"crc32:[^\r]*", f"crc32:{crc32_of(b'another body')}", trailer)


def _bad_trailer_signature(trailer: str) -> str:
    return flipped_hex(trailer.removesuffix("\r\n")) + "\r\n"
