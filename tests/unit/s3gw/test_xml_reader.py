from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gw.documents import CompletedPart, CreateBucketDocument, DeleteDocument, DeleteEntry
from s3gw.errors import Code, S3Error
from s3gw.xml_reader import (
    MAX_COMPLETE_BYTES,
    MAX_DELETE_BYTES,
    parse_complete_multipart,
    parse_create_bucket,
    parse_delete,
)

NAMESPACE = b'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ONE_KEY = DeleteDocument((DeleteEntry(b"a"),))


def delete(inside: bytes) -> bytes:
    return b'<?xml version="1.0" encoding="UTF-8"?>\n<Delete ' + NAMESPACE + b">" + inside + b"</Delete>"


def complete(inside: bytes) -> bytes:
    return b"<CompleteMultipartUpload " + NAMESPACE + b">" + inside + b"</CompleteMultipartUpload>"


def refusal_of_delete(body: bytes) -> Code:
    with pytest.raises(S3Error) as caught:
        parse_delete(body)
    return caught.value.code


def test_parse_delete_reads_every_field() -> None:
    body = delete(
        b"""
        <Quiet>true</Quiet>
        <Object><Key>a&amp;b&#13; c</Key><VersionId>v1</VersionId></Object>
        <Object><ETag>"abc"</ETag><Size>12</Size>
          <LastModifiedTime>Thu, 01 Jan 1970 00:00:05 GMT</LastModifiedTime><Key>\xc3\xa4</Key></Object>
        <!-- a comment --><Object><Key><![CDATA[<k>]]></Key><VersionId/></Object>
        """
    )
    assert parse_delete(body) == DeleteDocument(
        (
            DeleteEntry(b"a&b\r c", "v1"),
            DeleteEntry(b"\xc3\xa4", None, "abc", 5000, 12),
            DeleteEntry(b"<k>"),
        ),
        quiet=True,
    )


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete><Object><Key>a</Key></Object></Delete>",
        b"\xef\xbb\xbf<Delete><Object><Key>a</Key></Object></Delete>",
        b"<?xml version='1.0' encoding='utf8'?><Delete><Object><Key>a</Key></Object><Quiet>false</Quiet></Delete>",
        b'<d:Delete xmlns:d="http://s3.amazonaws.com/doc/2006-03-01"><d:Object><d:Key>a</d:Key></d:Object></d:Delete>',
        b"<Delete>" + b" " * 100_000 + b"<Object><Key>a</Key></Object></Delete>\n",
    ],
)
def test_parse_delete_accepts_what_clients_write(body: bytes) -> None:
    assert parse_delete(body) == ONE_KEY


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50), min_size=1, max_size=5)
)
def test_parse_delete_keys_round_trip(keys: list[str]) -> None:
    escaped = ["".join(f"&#{ord(c)};" if c in "&<>" else c for c in key) for key in keys]
    if any("\ufffe" in key or "\uffff" in key for key in keys):
        return
    body = delete("".join(f"<Object><Key>{key}</Key></Object>" for key in escaped).encode())
    assert [entry.key.decode() for entry in parse_delete(body).entries] == keys


OBJECT = b"<Object><Key>a</Key></Object>"
LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"not xml",
        b"{}",
        b"<Delete>",
        delete(b""),
        delete(b"<Quiet>true</Quiet>"),
        delete(b"<Quiet>maybe</Quiet>" + OBJECT),
        delete(b"<Object></Object>"),
        delete(b"<Object><VersionId>1</VersionId></Object>"),
        delete(b"<Object><Key>a</Key><Key>b</Key></Object>"),
        delete(b"<Quiet>true</Quiet><Quiet>true</Quiet>" + OBJECT),
        delete(b"<Object><Key>a<b/></Key></Object>"),
        delete(b"<Object>text<Key>a</Key></Object>"),
        delete(b"text" + OBJECT),
        delete(b"<Unknown/>" + OBJECT),
        delete(b"<Object><Key>a</Key><Size>-1</Size></Object>"),
        delete(b"<Object><Key>a</Key><Size>1.5</Size></Object>"),
        delete(b"<Object><Key>a</Key><LastModifiedTime>soon</LastModifiedTime></Object>"),
        delete(b"<Object><Key>" + b"a" * 5000 + b"</Key></Object>"),
        delete(b"<Object><Key>" + b"a" * 20000 + b"</Key></Object>"),
        delete(OBJECT * 1001),
        delete(OBJECT) + delete(OBJECT),
        delete(OBJECT) + b"<x/>",
        b'<Delete xmlns="http://elsewhere/">' + OBJECT + b"</Delete>",
        b"<Remove>" + OBJECT + b"</Remove>",
        b"<delete>" + OBJECT + b"</delete>",
        b"<x:Delete>" + OBJECT + b"</x:Delete>",
        delete(b"<Object><Key>a\x01</Key></Object>"),
        delete(b"<Object><Key>&#1;</Key></Object>"),
        delete(b"<Object><Key>\xff</Key></Object>"),
        delete(b"<Object><Key>&nothing;</Key></Object>"),
        delete(OBJECT).decode().encode("utf-16"),
        delete(OBJECT).decode().encode("utf-32"),
        b'<?xml version="1.0" encoding="ISO-8859-1"?><Delete>' + OBJECT + b"</Delete>",
        b"<?xml version='1.0' encoding = 'UTF-7'?><Delete>" + OBJECT + b"</Delete>",
        b"<!DOCTYPE Delete><Delete>" + OBJECT + b"</Delete>",
        b'<!DOCTYPE Delete [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>',
        b'<!DOCTYPE Delete SYSTEM "http://127.0.0.1:1/x.dtd"><Delete>' + OBJECT + b"</Delete>",
        b'<!DOCTYPE Delete [<!ENTITY l0 "lol">' + LAUGHS + b"]><Delete><Object><Key>&l9;</Key></Object></Delete>",
    ],
)
def test_parse_delete_refuses(body: bytes) -> None:
    assert refusal_of_delete(body) is Code.MALFORMED_XML


def test_parse_delete_wants_keys_to_be_named() -> None:
    assert refusal_of_delete(delete(b"<Object><Key></Key></Object>")) is Code.USER_KEY_MUST_BE_SPECIFIED


def test_parse_delete_takes_a_thousand_of_the_longest_keys() -> None:
    body = delete(b"".join(b"<Object><Key>%s</Key></Object>" % (b"%04d" % n + b"k" * 1020) for n in range(1000)))
    assert len(body) < MAX_DELETE_BYTES
    assert len(parse_delete(body).entries) == 1000


ATTRIBUTES = b"".join(b' a%d=""' % n for n in range(150_000))


@pytest.mark.parametrize(
    "body",
    [
        b"<a>" * 100_000,
        b"<Delete>" * 100_000,
        delete(b"<Object>" * 100_000),
        delete(b"<Object><Key>" + b"x" * (10 << 20) + b"</Key></Object>"),
        delete(b"<a/>" * 400_000),
        b"<Delete" + ATTRIBUTES + b">" + OBJECT + b"</Delete>",
        b"<Delete " + b"a" * (1 << 20) + b'="">' + OBJECT + b"</Delete>",
        delete(b"<!--" + b"x" * (1 << 20) + b"-->" + OBJECT),
        delete(b"<?pi " + b"x" * (1 << 20) + b"?>" + OBJECT),
        b'<!DOCTYPE Delete [<!ENTITY a "' + b"x" * 100_000 + b'">]><Delete>' + b"&a;" * 100_000 + b"</Delete>",
    ],
    ids=["nested", "nested-root", "nested-object", "10MiB", "many", "attributes", "name", "comment", "pi", "quadratic"],
)
def test_parse_delete_refuses_attacks_in_little_time_and_memory(body: bytes) -> None:
    """R26: at most 100 ms and 32 MiB, in resident memory, since the parser's own is not Python's."""
    Path("/proc/self/clear_refs").write_text("5")
    before_kib = memory_kib("VmRSS")
    start = time.perf_counter()
    code = refusal_of_delete(body)
    took = time.perf_counter() - start
    assert code is Code.MALFORMED_XML
    assert took < 0.1
    assert memory_kib("VmHWM") - before_kib < 32 << 10


def memory_kib(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


@given(st.binary(max_size=200) | st.text(alphabet="<>/&;!?[]Delt Objc Ky=\"'x", max_size=120).map(str.encode))
def test_readers_raise_nothing_but_s3_errors(body: bytes) -> None:
    for parse in (parse_delete, parse_complete_multipart, parse_create_bucket):
        try:
            parse(body)
        except S3Error as refused:
            assert refused.status in (400, 501)  # noqa: PT017


def test_parse_complete_multipart_reads_parts() -> None:
    body = complete(
        b"""<Part><PartNumber>1</PartNumber><ETag>&quot;aa&quot;</ETag></Part>
        <Part><ETag>bb</ETag><PartNumber> 3 </PartNumber><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"""
    )
    assert parse_complete_multipart(body).parts == (
        CompletedPart(1, "aa"),
        CompletedPart(3, "bb", {"CRC32": "AAAAAA=="}),
    )


PART = b"<Part><PartNumber>%d</PartNumber><ETag>a</ETag></Part>"


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        (b"", Code.MALFORMED_XML),
        (b"<Part><PartNumber>1</PartNumber></Part>", Code.MALFORMED_XML),
        (b"<Part><ETag>a</ETag></Part>", Code.MALFORMED_XML),
        (b"<Part><PartNumber>x</PartNumber><ETag>a</ETag></Part>", Code.MALFORMED_XML),
        (PART % 2 + PART % 1, Code.INVALID_PART_ORDER),
        (
            b"<Part><PartNumber>1</PartNumber><ETag>a</ETag><ChecksumSHA512>x</ChecksumSHA512></Part>",
            Code.NOT_IMPLEMENTED,
        ),
        (b"".join(PART % n for n in range(1, 10_002)), Code.MALFORMED_XML),
    ],
)
def test_parse_complete_multipart_refuses(inside: bytes, code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        parse_complete_multipart(complete(inside))
    assert caught.value.code is code


def test_parse_complete_multipart_takes_the_last_line_of_a_part() -> None:
    again = b"<Part><PartNumber>1</PartNumber><ETag>b</ETag></Part>"
    document = parse_complete_multipart(complete(PART % 1 + again + PART % 2))
    assert [part.number for part in document.parts] == [1, 2]
    assert document.parts[0].etag == "b"


def test_parse_complete_multipart_takes_ten_thousand_parts() -> None:
    part = (
        b'<Part>\n  <PartNumber>%d</PartNumber>\n  <ETag>"%s"</ETag>\n  <ChecksumSHA256>%s</ChecksumSHA256>\n</Part>\n'
    )
    body = complete(b"".join(part % (n, b"d" * 32, b"s" * 43 + b"=") for n in range(1, 10_001)))
    assert len(body) < MAX_COMPLETE_BYTES
    assert len(parse_complete_multipart(body).parts) == 10_000


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (b"", None),
        (b"<CreateBucketConfiguration/>", None),
        (b"<CreateBucketConfiguration><LocationConstraint/></CreateBucketConfiguration>", None),
        (b"<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint></CreateBucketConfiguration>", "eu"),
        (b"<CreateBucketConfiguration><Tags/></CreateBucketConfiguration>", None),
    ],
)
def test_parse_create_bucket(body: bytes, location: str | None) -> None:
    assert parse_create_bucket(body) == CreateBucketDocument(location)


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        (b"<Location><Name>x</Name></Location>", Code.NOT_IMPLEMENTED),
        (b"<Bucket><Type>Directory</Type></Bucket>", Code.NOT_IMPLEMENTED),
        (b"<Tags><Tag><Key>a</Key></Tag></Tags>", Code.MALFORMED_XML),
        (b"<Colour>red</Colour>", Code.MALFORMED_XML),
    ],
)
def test_parse_create_bucket_refuses(inside: bytes, code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        parse_create_bucket(b"<CreateBucketConfiguration>" + inside + b"</CreateBucketConfiguration>")
    assert caught.value.code is code
