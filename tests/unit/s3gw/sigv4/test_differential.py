"""Whatever botocore signs, we accept; whatever is changed after that, we refuse."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from s3gw.sigv4 import RequestView, SignatureError, SignatureFault
from s3gw.sigv4.canonical import canonical_pairs, canonical_path, join_pairs
from tests.unit.s3gw.sigv4.signer import ACCESS_KEY, by_header, by_query, verified

METHODS = st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE"])
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# botocore sorts names before it encodes them, Amazon after: within ASCII words both give one order.
NAMES = st.from_regex(r"[a-z][a-z0-9\-]{0,10}", fullmatch=True)
QUERIES = st.dictionaries(NAMES, WORDS, max_size=5)
# Header values as HTTP can carry them: no controls, and the spaces that botocore folds beyond ASCII's left out.
VALUES = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Z"]) | st.just(" "), max_size=20)
META = st.dictionaries(st.from_regex(r"x-amz-meta-[a-z0-9\-]{1,8}", fullmatch=True), VALUES, max_size=4)

QUICK = settings(max_examples=60, deadline=None)


def wire_path(key: str) -> str:
    return "/bucket/" + quote(key, safe="/~")


def wire_query(parameters: dict[str, str]) -> str:
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in parameters.items())


@QUICK
@given(METHODS, KEYS, QUERIES, META, st.binary(max_size=30))
@example("PUT", "//a/../b//", {"uploads": ""}, {"x-amz-meta-a": " two  spaces "}, b"")
def test_verify_what_botocore_signs_by_header(
    method: str, key: str, parameters: dict[str, str], meta: dict[str, str], body: bytes
) -> None:
    answer = verified(by_header(method, wire_path(key), wire_query(parameters), meta, body))
    assert answer.access_key == ACCESS_KEY


@QUICK
@given(METHODS, KEYS, QUERIES, META)
@example("GET", "a b+c", {"response-content-type": "a/b; c=d"}, {})
def test_verify_what_botocore_presigns(method: str, key: str, parameters: dict[str, str], meta: dict[str, str]) -> None:
    assert verified(by_query(method, wire_path(key), wire_query(parameters), meta)).presigned


@QUICK
@given(st.data(), st.sampled_from([by_header, by_query]))
def test_verify_after_any_change_is_refused(data: st.DataObject, signed: Callable[..., RequestView]) -> None:
    view = signed("PUT", "/bucket/key-1", "partNumber=1&uploadId=a", {"x-amz-acl": "x"})
    part = data.draw(st.sampled_from(["raw_path", "raw_query", "x-amz-acl", "host"]))
    before = getattr(view, part) if part.startswith("raw") else view.headers[part]
    assert isinstance(before, str)
    position = data.draw(st.integers(1, len(before) - 1) if len(before) > 1 else st.just(0))
    after = before[:position] + data.draw(st.sampled_from("abcXYZ019-_.~%&=/+;")) + before[position + 1 :]
    changed = {"raw_path": view.raw_path, "raw_query": view.raw_query, "headers": dict(view.headers)}
    if part == "raw_path":
        assume(canonical_path(after) != canonical_path(before))
        changed["raw_path"] = after
    elif part == "raw_query":
        assume(canonical_pairs(after) != canonical_pairs(before))
        changed["raw_query"] = after
    else:
        assume(after != before)
        changed["headers"] = {**view.headers, part: after}
    with pytest.raises(SignatureError):
        verified(RequestView(view.method, **changed))  # type: ignore[arg-type]


@QUICK
@given(st.binary(max_size=20), st.data())
def test_canonical_path_does_not_depend_on_how_the_client_escapes(key: bytes, data: st.DataObject) -> None:
    def escape(byte: int) -> str:
        plain = [chr(byte)] if 0x20 < byte < 0x7F and byte not in b"%?" else []
        return data.draw(st.sampled_from([f"%{byte:02X}", f"%{byte:02x}", *plain]))

    assert canonical_path("/" + "".join(escape(byte) for byte in key)) == "/" + quote(key, safe="/~")


@QUICK
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=6), st.binary(max_size=6)), max_size=5), st.randoms())
def test_canonical_query_does_not_depend_on_order_or_escapes(pairs: list[tuple[bytes, bytes]], random: Random) -> None:
    canonical = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs)
    sent = canonical[:]
    random.shuffle(sent)
    assert join_pairs(canonical_pairs("&".join(f"{n}={v.replace('%20', '+')}" for n, v in sent))) == "&".join(
        f"{name}={value}" for name, value in canonical
    )


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("", ""),
        ("acl", "acl="),
        ("b&a=&&c=1=2", "a=&b=&c=1%3D2"),
        ("a-b=1&a=2", "a=2&a-b=1"),
        ("p=%7e%2F%c3%a9", "p=~%2F%C3%A9"),
        ("p=\udcff", "p=%FF"),
        ("p=%zz", "p=%25zz"),
    ],
)
def test_canonical_query(raw: str, canonical: str) -> None:
    assert join_pairs(canonical_pairs(raw)) == canonical


@pytest.mark.parametrize(
    ("raw", "canonical"), [("", "/"), ("//a/./..//", "//a/./..//"), ("/a+b", "/a%2Bb"), ("/%41%2f\udce9", "/A/%E9")]
)
def test_canonical_path(raw: str, canonical: str) -> None:
    assert canonical_path(raw) == canonical


def test_verify_date_header_alone_is_enough() -> None:
    view = by_header("GET", headers={"Date": "Fri, 24 May 2013 00:00:00 GMT"})
    assert "x-amz-date" not in view.headers
    assert verified(view).timestamp == "20130524T000000Z"


def test_verify_header_sent_twice_is_signed_as_one_list() -> None:
    view = by_header("GET", headers={"x-amz-meta-a": "1,2"})
    folded = RequestView(view.method, view.raw_path, view.raw_query, {**view.headers, "x-amz-meta-a": [" 1", "2 "]})
    assert verified(folded).access_key == ACCESS_KEY


def test_verify_wrong_secret_tells_the_client_what_was_signed() -> None:
    with pytest.raises(SignatureError) as refused:
        verified(by_header("GET", secret="another"))
    assert refused.value.fault is SignatureFault.SIGNATURE_DOES_NOT_MATCH
    assert refused.value.fields["CanonicalRequest"].startswith("GET\n/bucket/key\n\nhost:s3.amazonaws.com\n")
    assert refused.value.fields["StringToSign"].startswith("AWS4-HMAC-SHA256\n20130524T000000Z\n")
