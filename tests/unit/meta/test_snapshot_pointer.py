"""The pointer: what it keeps, and that nothing else passes for one."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import BlobId, NodeId
from cyxcloud.core.keywrap import WrongKey
from cyxcloud.meta.snapshot_pointer import (
    PointedChunk,
    Pointer,
    PointerDamaged,
    open_pointer,
    read_pointer,
    unwrap_dek,
    wrap_dek,
    write_pointer,
)

MASTER, OTHER = b"m" * 32, b"o" * 32
NODES = tuple(NodeId(bytes([n]) * 32) for n in range(14))
MOVED = (*NODES[1:], NodeId(b"z" * 32))


def pointer(chunks: int = 3) -> Pointer:
    return Pointer(
        cluster_id=b"c" * 16,
        incarnation=b"i" * 16,
        sequence=7,
        taken_at_ms=1_800_000_000_123,
        blob=BlobId(5 << 32 | 9),
        size=9_000_000,
        k=10,
        m=4,
        codec=1,
        wrapped_dek=wrap_dek(MASTER, BlobId(5 << 32 | 9), b"d" * 32),
        chunks=tuple(PointedChunk(bytes([n % 256]) * 32, NODES if n % 2 else MOVED) for n in range(chunks)),
    )


def test_open_pointer_gives_back_what_was_written() -> None:
    written = write_pointer(pointer(), MASTER)
    assert open_pointer(written, MASTER) == read_pointer(written) == pointer()


def test_open_pointer_of_another_master_is_refused() -> None:
    with pytest.raises(PointerDamaged, match="another store"):
        open_pointer(write_pointer(pointer(), MASTER), OTHER)


def test_open_pointer_with_any_byte_changed_is_refused() -> None:
    written = write_pointer(pointer(1), MASTER)
    for at in range(len(written)):
        forged = bytearray(written)
        forged[at] ^= 0x20
        with pytest.raises(PointerDamaged):
            open_pointer(bytes(forged), MASTER)


def test_read_pointer_cut_anywhere_is_refused() -> None:
    written = write_pointer(pointer(1), MASTER)
    for size in range(len(written)):
        with pytest.raises(PointerDamaged):
            read_pointer(written[:size])


@given(st.binary(max_size=400))
def test_read_pointer_of_anything_is_refused(data: bytes) -> None:
    with pytest.raises(PointerDamaged):
        read_pointer(b"CYXSNPT\x01" + data)


def test_unwrap_dek_of_another_blob_is_refused() -> None:
    wrapped = wrap_dek(MASTER, BlobId(1), b"d" * 32)
    assert unwrap_dek(MASTER, BlobId(1), wrapped) == b"d" * 32
    with pytest.raises(WrongKey):
        unwrap_dek(MASTER, BlobId(2), wrapped)


def test_write_pointer_too_big_for_a_node_is_refused() -> None:
    with pytest.raises(ValueError, match="more than a node takes"):
        write_pointer(pointer(2000), MASTER)


def test_write_pointer_is_the_format_on_disk() -> None:
    golden = "d55ea368b479cf60ce934c9dd0f2a37dc52d12a60a0d2bdf066bc82b0506677d"
    assert hashlib.sha256(write_pointer(pointer(), MASTER)).hexdigest() == golden
