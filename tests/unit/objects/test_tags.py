from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.objects import tags
from cyxcloud.objects.tags import InvalidTag, MalformedTags, TooManyTags

LETTERS = st.characters(categories=("L", "N", "Zs"), include_characters="_.:/=+-@")
KEYS = st.text(LETTERS, min_size=1, max_size=64).filter(lambda key: not key.lower().startswith("aws:"))
VALUES = st.text(LETTERS, max_size=128)
SETS = st.dictionaries(KEYS, VALUES, max_size=tags.MAX_OBJECT_TAGS)


@given(SETS, st.booleans())
def test_header_says_what_was_encoded_in_it(wanted: dict[str, str], plus: bool) -> None:  # noqa: FBT001 - drawn
    encode = quote_plus if plus else quote
    text = "&".join(f"{encode(key, safe='')}={encode(value, safe='')}" for key, value in wanted.items())
    assert tags.parse_header(text) == wanted
    assert list(tags.parse_header(text)) == sorted(wanted)


@given(st.text())
def test_header_is_a_legal_set_or_refused(text: str) -> None:
    try:
        found = tags.parse_header(text)
    except (InvalidTag, TooManyTags, MalformedTags):
        return
    assert tags.object_tags(found.items()) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("&&&", {}),
        ("key", {"key": ""}),
        ("key=&", {"key": ""}),
        ("foo=bar&bar", {"bar": "", "foo": "bar"}),
        ("key@=val@", {"key@": "val@"}),
        ("key%2E=value%2F", {"key.": "value/"}),
        ("key++key=value%2Bvalue", {"key  key": "value+value"}),
        ("caf%C3%A9=%E6%97%A5", {"café": "日"}),
    ],
)
def test_header_reads_as_s3_reads_it(text: str, found: dict[str, str]) -> None:
    assert tags.parse_header(text) == found


@pytest.mark.parametrize(
    "text", ["=", "=value", "key%", "key%G0=1", "k=a=b", "k=1&k=1", "k=1&%6b=2", "k=%FF", "\udcff"]
)
def test_header_refuses_what_is_no_query_string(text: str) -> None:
    with pytest.raises(MalformedTags):
        tags.parse_header(text)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("", "v"), "The TagKey you have provided is invalid"),
        (("k" * 129, "v"), "The TagKey you have provided is invalid"),
        (("𐐀" * 65, "v"), "The TagKey you have provided is invalid"),
        (("key?", "v"), "The TagKey you have provided is invalid"),
        (("key\n", "v"), "The TagKey you have provided is invalid"),
        (("k", "v" * 257), "The TagValue you have provided is invalid"),
        (("k", "val!"), "The TagValue you have provided is invalid"),
        (("aws:k", "v"), "System tags cannot be added/updated by requester"),
        (("AWS:k", "v"), "System tags cannot be added/updated by requester"),
    ],
)
def test_object_tags_refuse_a_tag_that_none_may_have(pair: tuple[str, str], message: str) -> None:
    with pytest.raises(InvalidTag, match=message):
        tags.object_tags([pair])


def test_object_tags_take_the_longest_tag() -> None:
    longest = {"k" * 128: "v" * 256, "𐐀" * 64: "𐐀" * 128}
    assert tags.object_tags(longest.items()) == longest


def test_tags_refuse_a_key_twice() -> None:
    with pytest.raises(InvalidTag, match="same key"):
        tags.object_tags([("k", "1"), ("k", "2")])


@pytest.mark.parametrize(("limit", "make"), [(10, tags.object_tags), (50, lambda p: tags.bucket_tags(p).tags)])
def test_tags_are_counted_after_each_was_looked_at(limit: int, make) -> None:  # type: ignore[no-untyped-def]
    enough = [(f"k{number}", "") for number in range(limit)]
    assert len(make(enough)) == limit
    with pytest.raises(TooManyTags, match=str(limit)):
        make([*enough, ("one", "more")])
    with pytest.raises(InvalidTag):
        make([*enough, ("one?", "more")])
