"""The framings of a request body, taken off while it comes in (pure).

Decoders are fed whatever the socket gave and return views of it, so nothing is copied; the views live as long as what
was fed. A signed chunk's bytes are passed on before its signature is known, because its reader commits nothing until
`finish` has returned; a wrong signature raises at the chunk's end. Sizes, lines and trailers are bounded before they
are kept, and the decoded length must be exactly what was declared and signed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from enum import Enum, auto
from typing import Protocol

from cyxcloud.core.checksums import Buffer
from s3gw.body_errors import BodyError, BodyFault
from s3gw.sigv4 import ChunkChain

# A size line is at most 16 digits and a signature of 64; a trailer line a name and 44 letters of base64.
MAX_LINE_BYTES = 256
# Trailers are the announced one and a signature, with the blank lines some clients put between them.
MAX_TRAILER_LINES = 8
# S3 refuses smaller chunks but for the last; each costs as much as a large one.
MIN_CHUNK_BYTES = 8192

_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,16})")
_SIGNED_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})")
_TRAILER_LINE = re.compile(rb"([A-Za-z0-9\-]+)[ \t]*:[ \t]*([!-~]+)[ \t]*")
_TRAILER_SIGNATURE = "x-amz-trailer-signature"


class BodyDecoder(Protocol):
    def feed(self, data: Buffer) -> list[memoryview]:
        """The content within `data`; raises once the body is seen to be wrong."""
        ...

    def finish(self) -> Mapping[str, str]:
        """The trailers, after all was fed; raises when the body is not whole."""
        ...


class PlainDecoder:
    """A body without framing of its own; `size` is None when HTTP alone delimits it."""

    def __init__(self, size: int | None) -> None:
        self._size = size
        self._received = 0

    def feed(self, data: Buffer) -> list[memoryview]:
        self._received += len(data)
        if self._size is not None and self._received > self._size:
            raise _incomplete()
        return [memoryview(data)] if len(data) else []

    def finish(self) -> Mapping[str, str]:
        if self._size is not None and self._received != self._size:
            raise _incomplete()
        return {}


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    END = auto()


class AwsChunkedDecoder:
    """Content-Encoding aws-chunked; with a `chain` each chunk and the trailers are signed."""

    def __init__(self, size: int, chain: ChunkChain | None, trailers: Collection[str]) -> None:
        self._size = size
        self._chain = chain
        self._announced = trailers
        self._state = _State.SIZE
        self._line = bytearray()
        self._left = 0
        self._received = 0
        self._last_was_short = False
        self._hash = hashlib.sha256()
        self._signature = ""
        self._trailers: dict[str, str] = {}
        self._signed_text = bytearray()
        self._trailer_signature: str | None = None
        self._trailer_lines = 0

    def feed(self, data: Buffer) -> list[memoryview]:
        view = memoryview(data)
        content: list[memoryview] = []
        position, end = 0, len(view)
        while position < end:
            if self._state is _State.DATA:
                piece = view[position : position + self._left]
                content.append(piece)
                position += len(piece)
                self._take(piece)
            else:
                position += self._take_line(bytes(view[position : position + MAX_LINE_BYTES]))
        return content

    def finish(self) -> Mapping[str, str]:
        if self._state is not _State.END or self._line:
            raise _incomplete()
        return self._trailers

    def _take(self, piece: memoryview) -> None:
        if self._chain is not None:
            self._hash.update(piece)
        self._left -= len(piece)
        if self._left == 0:
            self._check_chunk()
            self._state = _State.DATA_END

    def _check_chunk(self) -> None:
        if self._chain is not None:
            self._chain.check_chunk(self._signature, self._hash.hexdigest())
            self._hash = hashlib.sha256()

    def _take_line(self, start: bytes) -> int:
        """Moves by at most one line; how many bytes of `start` it took."""
        newline = start.find(b"\n")
        taken = len(start) if newline < 0 else newline + 1
        self._line += start[:taken]
        if len(self._line) > MAX_LINE_BYTES:
            raise _malformed()
        if newline >= 0:
            line = bytes(self._line[:-1])
            self._line.clear()
            self._on_line(line)
        return taken

    def _on_line(self, line: bytes) -> None:
        if self._state is _State.TRAILER:
            # Minio's client ends a trailer with a bare newline.
            self._on_trailer(line.removesuffix(b"\r"))
            return
        if not line.endswith(b"\r"):
            raise _malformed()
        text = line[:-1]
        if self._state is _State.SIZE:
            self._on_size(text)
        elif text:
            raise _malformed()
        elif self._state is _State.DATA_END:
            self._state = _State.SIZE
        else:
            self._after_end()

    def _on_size(self, text: bytes) -> None:
        match = (_SIZE_LINE if self._chain is None else _SIGNED_SIZE_LINE).fullmatch(text)
        if match is None:
            raise _malformed()
        size = int(match[1], 16)
        if self._chain is not None:
            self._signature = match[2].decode("ascii")
        if size == 0:
            self._on_last_chunk()
            return
        if self._last_was_short:
            raise BodyError(
                BodyFault.INVALID_CHUNK_SIZE, "Only the last chunk is allowed to have a size less than 8192 bytes"
            )
        self._last_was_short = size < MIN_CHUNK_BYTES
        self._received += size
        if self._received > self._size:
            raise _incomplete()
        self._left = size
        self._state = _State.DATA

    def _on_last_chunk(self) -> None:
        if self._received != self._size:
            raise _incomplete()
        self._check_chunk()
        self._state = _State.TRAILER

    def _on_trailer(self, line: bytes) -> None:
        self._trailer_lines += 1
        if self._trailer_lines > MAX_TRAILER_LINES:
            raise _malformed_trailer()
        if line:
            self._on_trailer_field(line)
        elif self._chain is None or not self._announced or self._trailer_signature is not None:
            self._on_trailer_end()

    def _on_trailer_field(self, line: bytes) -> None:
        match = _TRAILER_LINE.fullmatch(line)
        if match is None or self._trailer_signature is not None:
            raise _malformed_trailer()
        name, value = match[1].decode("ascii").lower(), match[2].decode("ascii")
        if name == _TRAILER_SIGNATURE and self._chain is not None:
            self._trailer_signature = value
            return
        if name not in self._announced or name in self._trailers:
            raise _malformed_trailer()
        self._trailers[name] = value
        self._signed_text += f"{name}:{value}\n".encode("ascii")

    def _on_trailer_end(self) -> None:
        if len(self._trailers) != len(self._announced):
            raise _malformed_trailer()
        if self._chain is not None and self._trailer_signature is not None:
            self._chain.check_trailer(self._trailer_signature, bytes(self._signed_text))
        self._state = _State.END

    def _after_end(self) -> None:
        """Minio's client closes its trailers with one blank line too many."""
        self._trailer_lines += 1
        if self._trailer_lines > MAX_TRAILER_LINES:
            raise _malformed()


def _incomplete() -> BodyError:
    return BodyError(
        BodyFault.INCOMPLETE_BODY,
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    )


def _malformed() -> BodyError:
    return BodyError(BodyFault.INVALID_REQUEST, "The request's aws-chunked body is malformed.")


def _malformed_trailer() -> BodyError:
    return BodyError(
        BodyFault.MALFORMED_TRAILER,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    )
