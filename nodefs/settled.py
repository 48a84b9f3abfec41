"""The last order that a node carried out, with the receipt that it gave: what a replay is told by (pure)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cyxcloud.wire.orders import Order, decode_receipt
from cyxcloud.wire.shardhost import DeleteAnswer

_HEAD = struct.Struct(">QB")  # sequence, length of the incarnation; then that, then the receipt


@dataclass(frozen=True, slots=True)
class Settled:
    """Sequences are counted for each incarnation of the store: one that was restored begins anew."""

    incarnation: bytes
    sequence: int
    order_hash: bytes
    receipt: bytes
    signature: bytes

    @classmethod
    def of(cls, told: Order, receipt: bytes, signature: bytes) -> Settled:
        return cls(told.incarnation, told.sequence, decode_receipt(receipt).order_hash, receipt, signature)

    def answer(self) -> DeleteAnswer:
        return DeleteAnswer(list(decode_receipt(self.receipt).statuses), self.receipt, self.signature)


def encode_settled(settled: Settled) -> bytes:
    """All but the receipt's signature."""
    return _HEAD.pack(settled.sequence, len(settled.incarnation)) + settled.incarnation + settled.receipt


def decode_settled(data: bytes, signature: bytes) -> Settled:
    sequence, length = _HEAD.unpack_from(data)
    incarnation, receipt = data[_HEAD.size :][:length], data[_HEAD.size + length :]
    return Settled(incarnation, sequence, decode_receipt(receipt).order_hash, receipt, signature)
