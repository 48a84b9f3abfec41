from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3gw.aws_chunked import MAX_LINE_BYTES, AwsChunkedDecoder, BodyDecoder, PlainDecoder
from s3gw.body_errors import BodyError, BodyFault
from s3gw.sigv4 import ChunkChain, SignatureError, SignatureFault
from s3gw.sigv4.signing import SigningKey
from tests.unit.s3gw.sigv4.signer import SCOPE, TIMESTAMP, signed_chunks, signing_key, unsigned_chunks

QUICK = settings(max_examples=60, deadline=None)
SEED = "5" * 64
CRC = "x-amz-checksum-crc32"
BIG = bytes(range(256)) * 32
CONTENT = [BIG, BIG * 2, b"rest"]
SIZE = sum(map(len, CONTENT))
FAULTS = (BodyError, SignatureError)


def chain() -> ChunkChain:
    return ChunkChain(SigningKey(signing_key()), TIMESTAMP, SCOPE, SEED)


def decoder(kind: str, size: int = SIZE) -> AwsChunkedDecoder:
    trailers = (CRC,) if "trailer" in kind else ()
    return AwsChunkedDecoder(size, chain() if kind.startswith("signed") else None, trailers)


def encode(kind: str, chunks: Sequence[bytes]) -> bytes:
    trailers = {CRC: "AAAAAA=="} if "trailer" in kind else None
    return signed_chunks(SEED, chunks, trailers) if kind.startswith("signed") else unsigned_chunks(chunks, trailers)


KINDS = ["signed", "signed trailer", "unsigned", "unsigned trailer"]


def decode(target: BodyDecoder, wire: bytes, cuts: Sequence[int] = ()) -> tuple[bytes, dict[str, str]]:
    content = b""
    for start, end in itertools.pairwise([0, *sorted(cuts), len(wire)]):
        content += b"".join(target.feed(wire[start:end]))
    return content, dict(target.finish())


def refusal(target: BodyDecoder, wire: bytes) -> BodyError | SignatureError:
    with pytest.raises(FAULTS) as refused:
        decode(target, wire)
    error = refused.value
    assert isinstance(error, FAULTS)
    return error


@QUICK
@given(st.sampled_from(KINDS), st.lists(st.integers(0, 25000), max_size=30))
@example("signed trailer", list(range(8000, 9000)))
def test_decode_does_not_depend_on_how_the_bytes_arrive(kind: str, cuts: list[int]) -> None:
    wire = encode(kind, CONTENT)
    trailers = {CRC: "AAAAAA=="} if "trailer" in kind else {}
    assert decode(decoder(kind), wire, [min(cut, len(wire)) for cut in cuts]) == (b"".join(CONTENT), trailers)


@pytest.mark.parametrize("kind", KINDS)
def test_decode_byte_by_byte(kind: str) -> None:
    wire = encode(kind, [b"tiny"])
    assert decode(decoder(kind, 4), wire, range(1, len(wire)))[0] == b"tiny"


@pytest.mark.parametrize("kind", KINDS)
def test_decode_empty(kind: str) -> None:
    assert decode(decoder(kind, 0), encode(kind, []))[0] == b""


def test_decode_copies_nothing() -> None:
    wire = encode("unsigned", CONTENT)
    views = decoder("unsigned").feed(wire)
    assert [len(view) for view in views] == [len(chunk) for chunk in CONTENT]
    assert all(view.obj is wire for view in views)


@pytest.mark.parametrize("buffer", [bytearray, memoryview])
def test_decode_other_buffers(buffer: type[bytearray | memoryview]) -> None:
    assert b"".join(decoder("signed").feed(buffer(encode("signed", CONTENT)))) == b"".join(CONTENT)


@pytest.mark.parametrize("kind", KINDS)
def test_finish_before_the_end_is_incomplete(kind: str) -> None:
    wire = encode(kind, [BIG])
    for length in [0, 1, 50, 4000, *range(len(wire) - 120, len(wire))]:
        target = decoder(kind, len(BIG))
        target.feed(wire[:length])
        with pytest.raises(BodyError) as refused:
            target.finish()
        assert refused.value.fault is BodyFault.INCOMPLETE_BODY


@pytest.mark.parametrize("kind", ["signed", "signed trailer"])
def test_decode_any_altered_byte_is_refused(kind: str) -> None:
    wire = encode(kind, [BIG[:300]])
    for position in range(len(wire)):
        altered = bytearray(wire)
        altered[position] ^= 1
        # A bare newline in the trailer is the one thing that is read like the original.
        if "trailer" in kind and wire[position : position + 1] == b"\r":
            continue
        refusal(decoder(kind, 300), bytes(altered))


def test_decode_signed_chunks_reordered() -> None:
    one, two = BIG, BIG[::-1]
    wire = encode("signed", [one, two])
    half = wire.index(b"\r\n", wire.index(b"\r\n") + 2 + len(one)) + 2
    end = 2 * half
    swapped = wire[half:end] + wire[:half] + wire[end:]
    error = refusal(decoder("signed", 2 * len(BIG)), swapped)
    assert error.fault is SignatureFault.SIGNATURE_DOES_NOT_MATCH


def test_decode_signed_chunk_dropped() -> None:
    wire = encode("signed", [BIG, BIG[::-1]])
    half = wire.index(b"\r\n", wire.index(b"\r\n") + 2 + len(BIG)) + 2
    assert refusal(decoder("signed", len(BIG)), wire[half:]).fault is SignatureFault.SIGNATURE_DOES_NOT_MATCH


def test_decode_signed_chunks_of_another_request() -> None:
    target = AwsChunkedDecoder(SIZE, ChunkChain(SigningKey(signing_key()), TIMESTAMP, SCOPE, "6" * 64), ())
    assert refusal(target, encode("signed", CONTENT)).fault is SignatureFault.SIGNATURE_DOES_NOT_MATCH


INVALID = BodyFault.INVALID_REQUEST
INCOMPLETE = BodyFault.INCOMPLETE_BODY
TRAILER = BodyFault.MALFORMED_TRAILER
MALFORMED = {
    "size not hexadecimal": ("unsigned", b"g\r\n", INVALID),
    "size empty": ("unsigned", b"\r\n", INVALID),
    "size negative": ("unsigned", b"-4\r\n", INVALID),
    "size with a prefix": ("unsigned", b"0x4\r\nrest\r\n", INVALID),
    "size with spaces": ("unsigned", b" 4\r\nrest\r\n", INVALID),
    "size with an underscore": ("unsigned", b"0_4\r\nrest\r\n", INVALID),
    "size of seventeen digits": ("unsigned", b"0" * 16 + b"4\r\nrest\r\n", INVALID),
    "size line without return": ("unsigned", b"4\nrest\r\n", INVALID),
    "size line without end": ("unsigned", b"0" * (MAX_LINE_BYTES + 1), INVALID),
    "size beyond the declared": ("unsigned", b"5\r\n", INCOMPLETE),
    "size immense": ("unsigned", b"ffffffffffffffff\r\n", INCOMPLETE),
    "extension on an unsigned chunk": ("unsigned", b"4;a=b\r\nrest\r\n", INVALID),
    "signature on an unsigned chunk": ("unsigned", b"4;chunk-signature=" + b"0" * 64 + b"\r\n", INVALID),
    "signature missing": ("signed", b"4\r\nrest\r\n", INVALID),
    "signature short": ("signed", b"4;chunk-signature=" + b"0" * 63 + b"\r\n", INVALID),
    "signature long": ("signed", b"4;chunk-signature=" + b"0" * 65 + b"\r\n", INVALID),
    "signature upper-case": ("signed", b"4;chunk-signature=" + b"A" * 64 + b"\r\n", INVALID),
    "data longer than its size": ("unsigned", b"3\r\nrest\r\n", INVALID),
    "less than declared": ("unsigned", b"3\r\nres\r\n0\r\n\r\n", INCOMPLETE),
    "trailer not announced": ("unsigned", b"4\r\nrest\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", TRAILER),
    "trailer missing": ("unsigned trailer", b"4\r\nrest\r\n0\r\n\r\n", TRAILER),
    "trailer of another name": ("unsigned trailer", b"4\r\nrest\r\n0\r\nx-amz-checksum-sha1:AAAAAA==\r\n\r\n", TRAILER),
    "trailer twice": ("unsigned trailer", b"4\r\nrest\r\n0\r\n" + f"{CRC}:a\r\n{CRC}:a\r\n".encode(), TRAILER),
    "trailer without colon": ("unsigned trailer", b"4\r\nrest\r\n0\r\nx-amz-checksum-crc32\r\n", TRAILER),
    "trailer without value": ("unsigned trailer", b"4\r\nrest\r\n0\r\nx-amz-checksum-crc32:\r\n", TRAILER),
    "trailer too long": ("unsigned trailer", b"4\r\nrest\r\n0\r\n" + CRC.encode() + b":" + b"a" * 300, INVALID),
    "trailer signature unsigned": ("unsigned trailer", b"4\r\nrest\r\n0\r\nx-amz-trailer-signature:a\r\n", TRAILER),
    "bytes after the end": ("unsigned", b"4\r\nrest\r\n0\r\n\r\nmore\r\n", INVALID),
    "unfinished line after the end": ("unsigned", b"4\r\nrest\r\n0\r\n\r\nm", INCOMPLETE),
    "blank lines without end": ("unsigned", b"4\r\nrest\r\n0\r\n" + b"\r\n" * 100, INVALID),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_decode_malformed(name: str) -> None:
    kind, wire, fault = MALFORMED[name]
    assert refusal(decoder(kind, 4), wire).fault is fault


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        ((b"AAAAAA==", b"AAAAAQ=="), SignatureFault.SIGNATURE_DOES_NOT_MATCH),
        ((b"signature:", b"signature:0"), SignatureFault.SIGNATURE_DOES_NOT_MATCH),
        ((b"x-amz-trailer-signature", b"x-amz-trailer-signatory"), TRAILER),
        ((CRC.encode() + b":AAAAAA==\r\n", b""), TRAILER),
        ((b"\r\n\r\n", f"\r\n{CRC}:AAAAAA==\r\n\r\n".encode()), TRAILER),
        ((b"x-amz-trailer-signature", b"\r\n" * 8 + b"x-amz-trailer-signature"), TRAILER),
    ],
)
def test_decode_signed_trailer_altered(edit: tuple[bytes, bytes], fault: BodyFault | SignatureFault) -> None:
    wire = encode("signed trailer", [b"rest"])
    head, found, tail = wire.rpartition(edit[0])
    assert found
    assert refusal(decoder("signed trailer", 4), head + edit[1] + tail).fault is fault


def test_decode_signed_trailer_without_signature_never_ends() -> None:
    wire = encode("signed trailer", [b"rest"])
    unsigned = wire[: wire.index(b"x-amz-trailer-signature")] + b"\r\n"
    assert refusal(decoder("signed trailer", 4), unsigned).fault is INCOMPLETE


def test_decode_minio_unsigned_trailer() -> None:
    wire = b"4\r\nrest\r\n0\r\n" + f"{CRC}:AAAAAA==\n\r\n\r\n".encode()
    assert decode(decoder("unsigned trailer", 4), wire) == (b"rest", {CRC: "AAAAAA=="})


def test_decode_only_the_last_chunk_may_be_short() -> None:
    error = refusal(decoder("unsigned", 8), encode("unsigned", [b"four", b"more"]))
    assert error.fault is BodyFault.INVALID_CHUNK_SIZE
    assert error.message == "Only the last chunk is allowed to have a size less than 8192 bytes"


FRAGMENTS = st.sampled_from(
    [
        b"\r\n",
        b"\n",
        b"0",
        b"4",
        b"rest",
        b"ffff",
        b";chunk-signature=",
        b"0" * 64,
        CRC.encode(),
        b":",
        b"AAAAAA==",
        b"0\r\n",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), st.lists(FRAGMENTS | st.binary(max_size=5), max_size=20))
def test_decode_fuzz_never_fails_otherwise(kind: str, fragments: list[bytes]) -> None:
    target = decoder(kind, 4)
    content = b""
    try:
        for fragment in fragments:
            content += b"".join(target.feed(fragment))
        target.finish()
    except FAULTS:
        assert len(content) <= 4
    else:
        assert not kind.startswith("signed")
        assert len(content) == 4


@pytest.mark.parametrize("size", [None, 4])
def test_plain(size: int | None) -> None:
    assert decode(PlainDecoder(size), b"rest", [0, 1, 3]) == (b"rest", {})


@pytest.mark.parametrize("wire", [b"res", b"rest+", b""])
def test_plain_of_another_size(wire: bytes) -> None:
    assert refusal(PlainDecoder(4), wire).fault is INCOMPLETE
