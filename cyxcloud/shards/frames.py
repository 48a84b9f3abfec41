"""A chunk's encryption: AES-256-GCM in frames of 64 KiB, so that a range read decrypts only the frames it needs
(pure).

The nonce is chunk index (u32) || frame index (u64): unique under a key, since a blob has a key of its own and a chunk
is written once. The blob id is authenticated with every frame, so a frame of one blob never passes for one of another.
The same plaintext gives the same ciphertext: a retry and a rebuilt shard are byte for byte what the first attempt
made.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cyxcloud.core.ids import BlobId

FRAME_BYTES = 65536
TAG_BYTES = 16
SEALED_FRAME_BYTES = FRAME_BYTES + TAG_BYTES
CHUNK_BYTES = 4_194_304
DEK_BYTES = 32

Buffer = bytes | bytearray | memoryview

_NONCE = struct.Struct(">IQ")
_AAD = struct.Struct(">Q")


class FrameDamaged(Exception):
    """A frame does not open under this key: its bytes, its place or its blob are not the ones sealed."""


def frame_count(plaintext_size: int) -> int:
    return -(-plaintext_size // FRAME_BYTES)


def sealed_size(plaintext_size: int) -> int:
    """Bytes of ciphertext that this many bytes of plaintext become."""
    return plaintext_size + TAG_BYTES * frame_count(plaintext_size)


class BlobCipher:
    """Seals and opens the frames of one blob."""

    __slots__ = ("_aad", "_gcm", "blob")

    def __init__(self, blob: BlobId, dek: bytes) -> None:
        assert len(dek) == DEK_BYTES
        self.blob = blob
        self._gcm = AESGCM(dek)
        self._aad = _AAD.pack(blob)

    def seal(self, chunk: int, plaintext: Buffer) -> bytes:
        """The ciphertext of a whole chunk."""
        size = len(plaintext)
        assert 0 < size <= CHUNK_BYTES
        if size <= FRAME_BYTES:
            return self._gcm.encrypt(_NONCE.pack(chunk, 0), plaintext, self._aad)
        sealed = bytearray(sealed_size(size))
        self.seal_into(chunk, plaintext, memoryview(sealed))
        return bytes(sealed)

    def seal_into(self, chunk: int, plaintext: Buffer, target: memoryview) -> None:
        """The same, written where it is wanted; `target` is just as long."""
        size = len(plaintext)
        assert 0 < size <= CHUNK_BYTES
        source = memoryview(plaintext)
        at = 0
        for frame, start in enumerate(range(0, size, FRAME_BYTES)):
            piece = source[start : start + FRAME_BYTES]
            end = at + len(piece) + TAG_BYTES
            self._gcm.encrypt_into(_NONCE.pack(chunk, frame), piece, self._aad, target[at:end])
            at = end
        assert at == len(target)

    def open(self, chunk: int, frame: int, sealed: Buffer) -> bytes:
        """The plaintext of one frame."""
        try:
            return self._gcm.decrypt(_NONCE.pack(chunk, frame), sealed, self._aad)
        except InvalidTag:
            raise FrameDamaged(f"blob {self.blob:#x} chunk {chunk} frame {frame}") from None

    def open_frames(
        self, chunk: int, frames: range, plaintext_size: int, sealed: Callable[[int, int], Buffer]
    ) -> memoryview:
        """The plaintext of consecutive frames of a chunk of this size; `sealed(start, end)` gives its ciphertext."""
        first = frames.start * FRAME_BYTES
        opened = bytearray(min(frames.stop * FRAME_BYTES, plaintext_size) - first)
        target = memoryview(opened)
        try:
            for frame in frames:
                at = frame * FRAME_BYTES - first
                piece = target[at : at + FRAME_BYTES]
                start = frame * SEALED_FRAME_BYTES
                source = sealed(start, start + len(piece) + TAG_BYTES)
                self._gcm.decrypt_into(_NONCE.pack(chunk, frame), source, self._aad, piece)
        except InvalidTag:
            raise FrameDamaged(f"blob {self.blob:#x} chunk {chunk} frames {frames}") from None
        return target
