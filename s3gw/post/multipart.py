"""multipart/form-data as it comes in: fields are kept, the file is passed on (pure; RFC 7578, RFC 2046 5.1).

Memory is bounded: what stands before the file's bytes may have 20 KiB in all, and of the file at most what was fed plus
one delimiter is held. What follows the file is ignored, as S3 does. `is_at_file` turns true when the file's headers are
in; from then on `feed` returns content.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum, auto

from cyxcloud.core.checksums import Buffer
from s3gw.errors import Code, S3Error

# S3's limit for all that precedes the file.
MAX_FIELDS_BYTES = 20 << 10
# RFC 2046 5.1.1.
MAX_BOUNDARY_CHARACTERS = 70

_FORM = re.compile(
    r'[ \t]*multipart/form-data[ \t]*;(?:.*?;)?[ \t]*boundary=(?:"([ -!#-~]*)"|([!-~]*?))[ \t]*(?:;.*)?', re.IGNORECASE
).fullmatch
_DISPOSITION = re.compile(rb"content-disposition[ \t]*:[ \t]*(.*)", re.IGNORECASE | re.DOTALL).fullmatch
_PARAMETER = re.compile(rb';[ \t]*([A-Za-z*]{1,20})[ \t]*=[ \t]*(?:"((?:[^"\\]++|\\["\\]?+)*+)"|([^";\s]++))')
_QUOTED = re.compile(rb'\\(["\\])')
_FILE = "file"


class _State(Enum):
    PREAMBLE = auto()
    BOUNDARY_END = auto()
    HEADERS = auto()
    FIELD = auto()
    FILE = auto()
    IGNORED = auto()


def boundary_of(content_type: str | None) -> bytes:
    """Raises PreconditionFailed, as S3 does, where the body is no form, MalformedPOSTRequest for one without end."""
    text = content_type or ""
    if text.partition(";")[0].strip().lower() != "multipart/form-data":
        raise S3Error(
            Code.PRECONDITION_FAILED, condition="Bucket POST must be of the enclosure-type multipart/form-data"
        )
    match = _FORM(text)
    boundary = "" if match is None else match[1] or match[2]
    if not 0 < len(boundary) <= MAX_BOUNDARY_CHARACTERS:
        raise malformed()
    return boundary.encode()


class FormDecoder:
    """A `BodyDecoder`. `least` and `most` are the sizes that a policy allows the file, once it is known."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter has no line before it.
        self._held = bytearray(b"\r\n")
        self._state = _State.PREAMBLE
        self._name = ""
        self._before_file = 0
        self._received = 0
        self._least, self._most = 0, -1
        self._file_name = ""
        self._is_whole = False
        self.fields: list[tuple[str, str]] = []

    @property
    def is_at_file(self) -> bool:
        return self._state in (_State.FILE, _State.IGNORED)

    @property
    def has_file(self) -> bool:
        return self._is_whole or self._state is _State.FILE

    @property
    def file_name(self) -> str:
        """Without the path that some browsers send with it."""
        return re.split(r"[/\\]", self._file_name)[-1]

    def limit(self, least: int, most: int) -> None:
        """Raises EntityTooLarge, now or when the file turns out to be larger."""
        self._least, self._most = least, most
        self._check_size()

    def feed(self, data: Buffer) -> list[memoryview]:
        content: list[memoryview] = []
        if self._state is _State.IGNORED:
            return content
        self._held += data
        if not self.is_at_file:
            self._before_file += len(data)
        while self._step(content):
            pass
        if not self.is_at_file and self._before_file > MAX_FIELDS_BYTES:
            raise S3Error(Code.MAX_POST_PRE_DATA_LENGTH_EXCEEDED)
        return content

    def finish(self) -> Mapping[str, str]:
        if not self._is_whole and self._state is not _State.IGNORED:
            raise malformed()
        if self._received < self._least:
            raise S3Error(Code.ENTITY_TOO_SMALL, proposed_size=self._received, min_size_allowed=self._least)
        return {}

    def _step(self, content: list[memoryview]) -> bool:
        """Takes one piece off what is held; False when more is needed."""
        match self._state:
            case _State.PREAMBLE:
                return self._until_delimiter() is not None and self._to(_State.BOUNDARY_END)
            case _State.BOUNDARY_END:
                return self._after_boundary()
            case _State.HEADERS:
                return self._headers()
            case _State.FIELD:
                return self._field()
            case _State.FILE:
                return self._file(content)
            case _State.IGNORED:
                self._held.clear()
                return False

    def _to(self, state: _State) -> bool:
        self._state = state
        return True

    def _until_delimiter(self) -> bytes | None:
        at = self._held.find(self._delimiter)
        if at < 0:
            return None
        piece = bytes(self._held[:at])
        del self._held[: at + len(self._delimiter)]
        return piece

    def _after_boundary(self) -> bool:
        """A delimiter ends its line, or with two dashes the form; white space may stand between (RFC 2046)."""
        if self._held.startswith(b"--"):
            return self._to(_State.IGNORED)
        end = self._held.find(b"\r\n")
        if end < 0:
            if len(self._held) > MAX_BOUNDARY_CHARACTERS:
                raise malformed()
            return False
        if self._held[:end].strip(b" \t"):
            raise malformed()
        # The line's end stays: headers may be none, and then the empty line follows at once.
        del self._held[:end]
        return self._to(_State.HEADERS)

    def _headers(self) -> bool:
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = bytes(self._held[2:end]).split(b"\r\n")
        del self._held[: end + 4]
        self._name, file_name = _named(lines)
        if self._name.lower() == _FILE:
            self._file_name = file_name
            self._before_file -= len(self._held)
            if self._before_file > MAX_FIELDS_BYTES:
                raise S3Error(Code.MAX_POST_PRE_DATA_LENGTH_EXCEEDED)
            return self._to(_State.FILE)
        return self._to(_State.FIELD)

    def _field(self) -> bool:
        value = self._until_delimiter()
        if value is None:
            return False
        try:
            self.fields.append((self._name, value.decode()))
        except UnicodeDecodeError:
            raise malformed() from None
        return self._to(_State.BOUNDARY_END)

    def _file(self, content: list[memoryview]) -> bool:
        piece = self._until_delimiter()
        if piece is not None:
            self._is_whole = True
            self._state = _State.IGNORED
        else:
            # The end of what is held may be the begin of a delimiter.
            keep = len(self._held) - len(self._delimiter) + 1
            piece = bytes(self._held[: max(0, keep)])
            del self._held[: max(0, keep)]
        self._received += len(piece)
        self._check_size()
        if piece:
            content.append(memoryview(piece))
        return self._is_whole

    def _check_size(self) -> None:
        if self._received > self._most >= 0:
            raise S3Error(Code.ENTITY_TOO_LARGE, proposed_size=self._received, max_size_allowed=self._most)


def _named(lines: list[bytes]) -> tuple[str, str]:
    """Name and file name of a part; both in UTF-8, as browsers send them."""
    for line in lines:
        disposition = _DISPOSITION(line)
        if disposition is None:
            continue
        kind, _, _ = disposition[1].partition(b";")
        found = {
            name.lower(): _QUOTED.sub(rb"\1", quoted) if quoted else plain
            for name, quoted, plain in _PARAMETER.findall(disposition[1])
        }
        if kind.strip().lower() != b"form-data" or b"name" not in found:
            break
        try:
            return found[b"name"].decode(), found.get(b"filename", b"").decode()
        except UnicodeDecodeError:
            break
    raise malformed()


def malformed() -> S3Error:
    return S3Error(Code.MALFORMED_POST_REQUEST)
