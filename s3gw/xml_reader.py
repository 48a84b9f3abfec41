"""The XML that clients send, read strictly and within bounds (pure).

A body is refused whole when it is too long, not UTF-8, has a document type, an element that the document does not know,
one twice, or text where none belongs. No tree is built: the parser reports elements one by one and the first wrong one
ends it, so an attack costs what its first bytes cost, and memory is bounded by the document that is expected. Expat is
faster at that than lxml, and what it holds of one hostile tag can be bounded (`FEED_BYTES`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias, cast
from xml.parsers import expat

from s3gw.documents import CompleteDocument, CompletedPart, CreateBucketDocument, DeleteDocument, DeleteEntry
from s3gw.errors import Code, S3Error, not_implemented
from s3gw.times import parse_http_date, parse_iso_time

# 1,000 keys of 1,024 bytes with their mark-up are about 1.2 MiB, 10,000 parts with a SHA-256 each 1.8.
MAX_DELETE_BYTES = 2 << 20
MAX_COMPLETE_BYTES = 4 << 20
MAX_CREATE_BUCKET_BYTES = 64 << 10
MAX_KEYS_A_DELETE = 1000
MAX_PARTS = 10_000
# More than any set of tags may have, so that one too many is told from a document without end.
MAX_LISTED_TAGS = 1000
# Longer than any single value S3 takes; a key has 1,024 bytes.
MAX_TEXT_CHARACTERS = 4096
# A tag, or comment, that does not end within this is refused: expat would hold it whole, with all its attributes.
FEED_BYTES = 16 << 10

_NAMESPACES = ("", "http://s3.amazonaws.com/doc/2006-03-01/}", "http://s3.amazonaws.com/doc/2006-03-01}")
_ENCODING = re.compile(rb"""<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([^"']*)["']""").search
_XSI_TYPE = "http://www.w3.org/2001/XMLSchema-instance}type"
_NUMBER = re.compile(r"\s*(\d{1,18})\s*", re.ASCII).fullmatch
_CHECKSUMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
_UNBUILT_CHECKSUMS = ("SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128")

Value: TypeAlias = "str | dict[str, Value] | list[Value]"


@dataclass(frozen=True, slots=True)
class Text:
    """An element that holds text only."""


@dataclass(frozen=True, slots=True)
class Struct:
    """An element that holds these elements, each at most once. Under `typed` stands what its xsi:type says, where it is
    read. `tags` are their names as the parser reports them."""

    fields: dict[str, Text | Struct | Many]
    typed: str = ""
    tags: dict[str, tuple[str, Text | Struct | Many]] = field(init=False)

    def __post_init__(self) -> None:
        tags = {namespace + name: (name, shape) for name, shape in self.fields.items() for namespace in _NAMESPACES}
        object.__setattr__(self, "tags", tags)


@dataclass(frozen=True, slots=True)
class Many:
    """An element that may stand up to `limit` times beside others."""

    item: Text | Struct
    limit: int


TEXT = Text()
_DELETE = Struct(
    {
        "Object": Many(
            Struct({"Key": TEXT, "VersionId": TEXT, "ETag": TEXT, "LastModifiedTime": TEXT, "Size": TEXT}),
            MAX_KEYS_A_DELETE,
        ),
        "Quiet": TEXT,
    }
)
_COMPLETE = Struct(
    {
        "Part": Many(
            Struct(
                dict.fromkeys(
                    ["PartNumber", "ETag", *(f"Checksum{name}" for name in _CHECKSUMS + _UNBUILT_CHECKSUMS)], TEXT
                )
            ),
            MAX_PARTS,
        )
    }
)
_CREATE_BUCKET = Struct(
    {
        "LocationConstraint": TEXT,
        "Location": Struct({"Type": TEXT, "Name": TEXT}),
        "Bucket": Struct({"DataRedundancy": TEXT, "Type": TEXT}),
        "Tags": Struct({"Tag": Many(Struct({"Key": TEXT, "Value": TEXT}), MAX_LISTED_TAGS)}),
    }
)


class _Reader:
    """Follows the shape while the parser reports; `names`, `shapes` and `values` are the open elements."""

    def __init__(self, root: str, shape: Struct) -> None:
        self._names: list[str] = []
        self._shapes: list[Text | Struct] = [Struct({root: shape})]
        self.found: dict[str, Value] = {}
        self._values: list[dict[str, Value]] = [self.found]
        self._text: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        parent = self._shapes[-1]
        known = parent.tags.get(tag) if isinstance(parent, Struct) else None
        if known is None:
            raise malformed()
        name, shape = known
        siblings = self._values[-1]
        if isinstance(shape, Many):
            if len(siblings.setdefault(name, [])) >= shape.limit:
                raise malformed()
            shape = shape.item
        elif name in siblings:
            raise malformed()
        self._names.append(name)
        self._shapes.append(shape)
        self._text.clear()
        if isinstance(shape, Struct):
            kind = attributes.get(_XSI_TYPE) if shape.typed else None
            self._values.append({} if kind is None else {shape.typed: kind})

    def text(self, text: str) -> None:
        if isinstance(self._shapes[-1], Text):
            self._text.append(text)
            if sum(map(len, self._text)) > MAX_TEXT_CHARACTERS:
                raise malformed()
        elif not text.isspace():
            raise malformed()

    def end(self, _tag: str) -> None:
        name, shape = self._names.pop(), self._shapes.pop()
        value: Value = "".join(self._text) if isinstance(shape, Text) else self._values.pop()
        siblings = self._values[-1]
        several = siblings.get(name)
        if isinstance(several, list):
            several.append(value)
        else:
            siblings[name] = value

    def refuse(self, *_declaration: object) -> None:
        raise malformed()


def read(body: bytes, root: str, shape: Struct, limit_bytes: int) -> dict[str, Value]:
    """The document's elements by name; a Text is a str, a Struct a dict, a Many a list. Raises MalformedXML."""
    if len(body) > limit_bytes or not _is_utf8(body):
        raise malformed()
    reader = _Reader(root, shape)
    parser = expat.ParserCreate("utf-8", "}")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        for start in range(0, len(body), FEED_BYTES):
            parser.Parse(body[start : start + FEED_BYTES], False)
            if parser.CurrentByteIndex < start:
                raise malformed()
        parser.Parse(b"", True)
    except expat.ExpatError:
        raise malformed() from None
    return cast("dict[str, Value]", reader.found[root])


def parse_delete(body: bytes) -> DeleteDocument:
    document = read(body, "Delete", _DELETE, MAX_DELETE_BYTES)
    entries = tuple([_delete_entry(item) for item in items(document, "Object")])
    if not entries:
        raise malformed()
    return DeleteDocument(entries, quiet=boolean(text_of(document, "Quiet") or "false"))


def _delete_entry(item: dict[str, Value]) -> DeleteEntry:
    key = text_of(item, "Key")
    if key is None:
        raise malformed()
    if not key:
        raise S3Error(Code.USER_KEY_MUST_BE_SPECIFIED)
    if len(item) == 1:
        return DeleteEntry(key.encode())
    etag, modified, size = text_of(item, "ETag"), text_of(item, "LastModifiedTime"), text_of(item, "Size")
    return DeleteEntry(
        key.encode(),
        text_of(item, "VersionId") or None,
        None if etag is None else _unquoted(etag),
        None if modified is None else moment_of(modified),
        None if size is None else number_of(size),
    )


def parse_complete_multipart(body: bytes) -> CompleteDocument:
    """Parts ascend, else InvalidPartOrder. Of several lines for a part that was sent again the last one counts."""
    document = read(body, "CompleteMultipartUpload", _COMPLETE, MAX_COMPLETE_BYTES)
    parts = tuple([_completed_part(item) for item in items(document, "Part")])
    if not parts:
        raise malformed()
    if any(first.number > second.number for first, second in pairwise(parts)):
        raise S3Error(Code.INVALID_PART_ORDER)
    return CompleteDocument(tuple({part.number: part for part in parts}.values()))


def _completed_part(item: dict[str, Value]) -> CompletedPart:
    number, etag = text_of(item, "PartNumber"), text_of(item, "ETag")
    if number is None or etag is None:
        raise malformed()
    if len(item) == 2:
        return CompletedPart(number_of(number), _unquoted(etag))
    for algorithm in _UNBUILT_CHECKSUMS:
        if f"Checksum{algorithm}" in item:
            raise not_implemented(f"The checksum algorithm {algorithm} is not implemented")
    given = {algorithm: text_of(item, f"Checksum{algorithm}") for algorithm in _CHECKSUMS}
    checksums = {algorithm: value for algorithm, value in given.items() if value}
    return CompletedPart(number_of(number), _unquoted(etag), checksums)


def parse_create_bucket(body: bytes) -> CreateBucketDocument:
    """No body at all is a bucket in the endpoint's own region."""
    if not body:
        return CreateBucketDocument()
    document = read(body, "CreateBucketConfiguration", _CREATE_BUCKET, MAX_CREATE_BUCKET_BYTES)
    for element in ("Location", "Bucket"):
        if document.get(element):
            raise not_implemented(f"The element {element} implies functionality that is not implemented")
    return CreateBucketDocument(text_of(document, "LocationConstraint") or None, _tags(document.get("Tags")))


def _tags(tags: Value | None) -> tuple[tuple[str, str], ...]:
    return () if tags is None else tuple([tag_of(tag) for tag in items(cast("dict[str, Value]", tags), "Tag")])


def tag_of(tag: dict[str, Value]) -> tuple[str, str]:
    key, value = text_of(tag, "Key"), text_of(tag, "Value")
    if key is None or value is None:
        raise malformed()
    return key, value


def _is_utf8(body: bytes) -> bool:
    declared = _ENCODING(body[:300])
    if declared is not None and declared[1].lower() not in (b"utf-8", b"utf8", b"us-ascii"):
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def items(document: dict[str, Value], name: str) -> list[dict[str, Value]]:
    return cast("list[dict[str, Value]]", document.get(name, []))


def text_of(document: dict[str, Value], name: str) -> str | None:
    return cast("str | None", document.get(name))


def texts_of(document: dict[str, Value], name: str) -> tuple[str, ...]:
    """Of an element of texts that may stand several times."""
    return tuple(cast("list[str]", document.get(name, [])))


def number_of(text: str) -> int:
    match = _NUMBER(text)
    if match is None:
        raise malformed()
    return int(match[1])


def boolean(text: str) -> bool:
    value = {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower())
    if value is None:
        raise malformed()
    return value


def moment_of(text: str) -> int:
    moment = parse_http_date(text) or parse_iso_time(text)
    if moment is None:
        raise malformed()
    return moment


def _unquoted(etag: str) -> str:
    return etag.strip().strip('"')


def malformed() -> S3Error:
    return S3Error(Code.MALFORMED_XML)
