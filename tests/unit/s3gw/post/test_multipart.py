from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gw.errors import Code, S3Error
from s3gw.post.multipart import MAX_FIELDS_BYTES, FormDecoder, boundary_of

BOUNDARY = b"xXx"


def form(*parts: tuple[str, bytes], end: bytes = b"--\r\n") -> bytes:
    text = b""
    for disposition, value in parts:
        text += b"--xXx\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + value + b"\r\n"
    return text + b"--xXx" + end


def decode(body: bytes, step: int = 1 << 20, limit: tuple[int, int] | None = None) -> tuple[FormDecoder, bytes]:
    decoder, content = FormDecoder(BOUNDARY), b""
    if limit:
        decoder.limit(*limit)
    for start in range(0, len(body), step):
        content += b"".join(decoder.feed(body[start : start + step]))
    decoder.finish()
    return decoder, content


SIMPLE = form(('name="key"', b"foo"), ('name="empty"', b""), ('name="file"; filename="a.txt"', b"\r\n--xX bytes\r\n"))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_decode_gives_fields_and_content_however_it_comes(step: int) -> None:
    decoder, content = decode(SIMPLE, step)
    assert decoder.fields == [("key", "foo"), ("empty", "")]
    assert (decoder.file_name, content) == ("a.txt", b"\r\n--xX bytes\r\n")


def test_decode_ignores_what_follows_the_file() -> None:
    body = form(('name="file"', b"content"), ('name="submit"', b"later"))
    decoder, content = decode(body)
    assert (decoder.fields, content) == ([], b"content")
    assert decode(b"preamble\r\n" + form(('name="file"', b"x")) + b"epilogue")[1] == b"x"


@pytest.mark.parametrize(
    ("sent", "name"),
    [("C:\\\\docs\\\\a b.txt", "a b.txt"), ("C:\\docs\\a.txt", "a.txt"), ("/home/a.txt", "a.txt"), ('q\\"x', 'q"x')],
)
def test_file_name_is_without_its_path(sent: str, name: str) -> None:
    assert decode(form((f'name="file"; filename="{sent}"', b"x")))[0].file_name == name


@pytest.mark.parametrize(
    "body",
    [
        SIMPLE[:-20],
        form(('filename="key"', b"foo")),
        b"--xXx\r\nContent-Type: text/plain\r\n\r\nvalue\r\n--xXx--",
        b"--xXx trailing\r\n\r\n",
        form(('name="key"', b"\xff\xfe"), ('name="file"', b"x")),
        b"--other\r\n",
    ],
)
def test_decode_of_a_malformed_form_is_refused(body: bytes) -> None:
    with pytest.raises(S3Error) as refused:
        decode(body)
    assert refused.value.code is Code.MALFORMED_POST_REQUEST


@pytest.mark.parametrize("step", [100, 1 << 20])
@pytest.mark.parametrize("ends", [True, False])
def test_fields_beyond_their_limit_are_refused(step: int, *, ends: bool) -> None:
    body = form(('name="key"', b"x" * MAX_FIELDS_BYTES), *([('name="file"', b"x")] if ends else []))
    with pytest.raises(S3Error) as refused:
        decode(body if ends else body[:-10], step)
    assert refused.value.code is Code.MAX_POST_PRE_DATA_LENGTH_EXCEEDED


def test_large_file_does_not_count_as_fields() -> None:
    assert len(decode(form(('name="file"', b"x" * 100_000)))[1]) == 100_000


@pytest.mark.parametrize(
    ("limit", "code"),
    [((0, 6), Code.ENTITY_TOO_LARGE), ((8, 10), Code.ENTITY_TOO_SMALL), ((0, 0), Code.ENTITY_TOO_LARGE)],
)
def test_file_of_another_size_is_refused(limit: tuple[int, int], code: Code) -> None:
    with pytest.raises(S3Error) as refused:
        decode(form(('name="file"', b"content")), limit=limit)
    assert refused.value.code is code
    assert decode(form(('name="file"', b"content")), limit=(7, 7))[1] == b"content"


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data;boundary=----WebKitFormBoundaryX;x=y", b"----WebKitFormBoundaryX"),
    ],
)
def test_boundary_of_a_form(header: str, boundary: bytes) -> None:
    assert boundary_of(header) == boundary


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 412),
        ("", 412),
        ("text/plain", 412),
        ("multipart/mixed; boundary=a", 412),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=" + "a" * 71, 400),
    ],
)
def test_boundary_of_what_is_no_form_is_refused(header: str | None, status: int) -> None:
    with pytest.raises(S3Error) as refused:
        boundary_of(header)
    assert refused.value.status == status


@given(
    st.lists(st.tuples(st.text(alphabet="abc", min_size=1), st.binary(max_size=40))),
    st.binary(max_size=200),
    st.integers(1, 50),
)
def test_decode_round_trip(fields: list[tuple[str, bytes]], content: bytes, step: int) -> None:
    fields = [(name, value.hex().encode()) for name, value in fields]
    content = content.replace(b"\r\n--xXx", b"")
    decoder, got = decode(form(*[(f'name="{name}"', value) for name, value in fields], ('name="file"', content)), step)
    assert got == content
    assert decoder.fields == [(name, value.decode()) for name, value in fields]


@given(
    st.lists(
        st.sampled_from(
            [
                b"\r\n",
                b"--xXx",
                b"--",
                b"\r\n\r\n",
                b"x",
                b'Content-Disposition: form-data; name="file"',
                b'"',
                b"\\",
                b";",
            ]
        )
    ),
    st.integers(1, 9),
)
def test_fuzzed_form_is_decoded_or_refused(pieces: list[bytes], step: int) -> None:
    body = b"".join(pieces)
    decoder = FormDecoder(BOUNDARY)
    refusal: S3Error | None = None
    try:
        got = b"".join(
            [bytes(piece) for start in range(0, len(body), step) for piece in decoder.feed(body[start : start + step])]
        )
        decoder.finish()
    except S3Error as refused:
        refusal = refused
    else:
        assert got in body
    assert refusal is None or refusal.status == 400
