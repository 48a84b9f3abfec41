"""Where the newest snapshot begins: a small file in every node folder that the master key opens (pure).

It names the manifest's blob with its chunk roots and nodes, wraps its data key under a key derived from the master
(which never changes, unlike wrapping keys), and ends with a MAC. So whoever has the master needs no database to read a
snapshot, and nobody without it can make a node's pointer count. The manifest in turn names every group of the file.

    magic and version (8) | body | HMAC-SHA256 of all before (32)
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass

from cyxcloud.core.ids import NODE_ID_BYTES, BlobId, NodeId
from cyxcloud.core.keywrap import WRAPPED_BYTES, Mode, derive, unwrap, wrap

MAX_POINTER_BYTES = 64 * 1024  # what a node takes

_MAGIC = b"CYXSNPT\x01"
_MAC_BYTES = 32
_ROOT_BYTES = 32
# cluster id, incarnation, sequence, taken at, then the manifest: blob, size, k, m, codec, wrapped key; lists, chunks
_HEAD = struct.Struct(f">16s16sQQQQBBB{WRAPPED_BYTES}sHH")
_CHUNK = struct.Struct(f">{_ROOT_BYTES}sH")


class PointerDamaged(ValueError):
    """Not a snapshot pointer, not whole, or of another master key."""


@dataclass(frozen=True, slots=True)
class PointedChunk:
    """A chunk of the manifest and the nodes that its shards were written to."""

    root: bytes
    nodes: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Pointer:
    """`sequence` counts the snapshots of a store, across restores; `taken_at_ms` is store time. The rest tells how to
    read the manifest."""

    cluster_id: bytes
    incarnation: bytes
    sequence: int
    taken_at_ms: int
    blob: BlobId
    size: int
    k: int
    m: int
    codec: int
    wrapped_dek: bytes
    chunks: tuple[PointedChunk, ...]


def wrap_dek(master: bytes, blob: BlobId, dek: bytes) -> bytes:
    """A snapshot blob's data key for pointer or manifest: rotating wrapping keys does not touch it."""
    return wrap(_wrapping_key(master), blob, Mode.SSE_S3, dek)


def unwrap_dek(master: bytes, blob: BlobId, wrapped: bytes) -> bytes:
    """Raises keywrap.WrongKey."""
    return unwrap(_wrapping_key(master), blob, Mode.SSE_S3, wrapped)


def write_pointer(pointer: Pointer, master: bytes) -> bytes:
    lists = list(dict.fromkeys(chunk.nodes for chunk in pointer.chunks))
    number = {nodes: at for at, nodes in enumerate(lists)}
    head = _HEAD.pack(
        pointer.cluster_id,
        pointer.incarnation,
        pointer.sequence,
        pointer.taken_at_ms,
        pointer.blob,
        pointer.size,
        pointer.k,
        pointer.m,
        pointer.codec,
        pointer.wrapped_dek,
        len(lists),
        len(pointer.chunks),
    )
    chunks = [_CHUNK.pack(chunk.root, number[chunk.nodes]) for chunk in pointer.chunks]
    body = b"".join([_MAGIC, head, *(node for nodes in lists for node in nodes), *chunks])
    made = body + _mac(master, body)
    if len(made) > MAX_POINTER_BYTES:
        raise ValueError(f"a snapshot's pointer of {len(made)} bytes is more than a node takes")
    return made


def read_pointer(data: bytes) -> Pointer:
    """What a pointer says, unproven: use `open_pointer` where the master is at hand. Raises PointerDamaged."""
    body = data[:-_MAC_BYTES]
    if not body.startswith(_MAGIC) or len(data) > MAX_POINTER_BYTES:
        raise PointerDamaged("not a snapshot pointer of a format known here")
    try:
        return _decode(body)
    except (struct.error, IndexError):
        raise PointerDamaged("the snapshot pointer is cut short") from None


def open_pointer(data: bytes, master: bytes) -> Pointer:
    """The same, made by a holder of this master key. Raises PointerDamaged."""
    pointer = read_pointer(data)
    if not hmac.compare_digest(data[-_MAC_BYTES:], _mac(master, data[:-_MAC_BYTES])):
        raise PointerDamaged("the snapshot pointer is damaged or belongs to another store")
    return pointer


def _decode(body: bytes) -> Pointer:
    at = len(_MAGIC)
    *fields, list_count, chunk_count = _HEAD.unpack_from(body, at)
    cluster_id, incarnation, sequence, taken_at_ms, blob, size, k, m, codec, wrapped = fields
    at += _HEAD.size
    width = (k + m) * NODE_ID_BYTES
    lists = [_nodes(body[at + n * width : at + (n + 1) * width]) for n in range(list_count)]
    at += list_count * width
    if at + chunk_count * _CHUNK.size != len(body):
        raise PointerDamaged("the snapshot pointer has another length than it says")
    chunks = []
    for n in range(chunk_count):
        root, of = _CHUNK.unpack_from(body, at + n * _CHUNK.size)
        chunks.append(PointedChunk(root, lists[of]))
    return Pointer(
        cluster_id, incarnation, sequence, taken_at_ms, BlobId(blob), size, k, m, codec, wrapped, tuple(chunks)
    )


def _nodes(data: bytes) -> tuple[NodeId, ...]:
    return tuple(NodeId(data[at : at + NODE_ID_BYTES]) for at in range(0, len(data), NODE_ID_BYTES))


def _wrapping_key(master: bytes) -> bytes:
    return derive(master, b"cyxcloud snapshot v1 wrapping")


def _mac(master: bytes, body: bytes) -> bytes:
    return hmac.new(derive(master, b"cyxcloud snapshot v1 pointer mac"), body, hashlib.sha256).digest()
