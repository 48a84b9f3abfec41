"""Heartbeats: the bytes that are signed, and every way in which they can be wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.identity import NodeIdentity, node_id_of
from cyxcloud.core.ids import NodeId
from cyxcloud.wire import heartbeat_pb2 as pb
from cyxcloud.wire.heartbeat import (
    MAX_HEARTBEAT_BYTES,
    Answer,
    Heartbeat,
    Outcome,
    Serving,
    decode_heartbeat,
    encode_answer,
    parse_answer,
    parse_heartbeat,
    sign_heartbeat,
)
from cyxcloud.wire.status import WireError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
IDENTITY = NodeIdentity(node_id_of(PUBLIC), PUBLIC, KEY)
BEAT = Heartbeat(
    node_id=IDENTITY.node_id,
    timestamp_ms=1_800_000_000_000,
    sequence=7,
    total_storage_bytes=10_000_000_000,
    used_storage_bytes=4_000_000_000,
    free_bytes=6_000_000_000,
    reserve_bytes=1 << 20,
    shard_count=12_345,
    available_bandwidth_bps=800_000_000,
    avg_latency_ms=2.5,
    requests_per_minute=600,
    cpu_usage_percent=12.5,
    memory_usage_percent=40.25,
    failed_requests=3,
    peer_ids=(NodeId(b"p" * 32),),
    version="0.1.0",
    state=Serving.STOPPING,
    reason="full",
)
ANSWER = Answer(Outcome.TAKEN, 1_800_000_000_100, 30_000, "0.2.0", "0.1.0", 1_800_100_000_000, 4, ("a:1",), True, 6)

# What is sent today must be understood for ever: these bytes never change, new fields only come after them.
GOLDEN_BEAT = "0a2056475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c1080a0f1c2b1342080c8afa0252880d0acf30e308090bcfd0239000000000000044040d80449000000000000294051000000000020444058b96060036a20707070707070707070707070707070707070707070707070707070707070707070077a05302e312e308001018801019001029801808040a00180f882ad16aa010466756c6c1a4055dcc44df7b7123bc3a284b3fc1119198d3c0886328e9b46eed4822336c0c81003de2b5395a4157aaf57197045573ba45862633c66644c441a3d358fd7010205"
GOLDEN_ANSWER = "080110e4a0f1c2b13418b0ea012205302e322e302a05302e312e303080e2c8f2b13438044203613a3148015006"


def test_heartbeat_keeps_its_bytes() -> None:
    assert sign_heartbeat(IDENTITY, BEAT).hex() == GOLDEN_BEAT
    assert encode_answer(ANSWER).hex() == GOLDEN_ANSWER


def test_heartbeat_comes_back_and_is_its_nodes() -> None:
    signed = parse_heartbeat(sign_heartbeat(IDENTITY, BEAT))
    assert signed.heartbeat == BEAT
    assert signed.signed_by(PUBLIC)
    assert not signed.signed_by(NodeIdentity.generate().public_key)
    assert parse_answer(encode_answer(ANSWER)) == ANSWER


def test_heartbeat_is_one_protobuf_message_with_the_signature_as_field_three() -> None:
    data = sign_heartbeat(IDENTITY, BEAT)
    message = pb.Heartbeat.FromString(data)
    assert message.signature == data[-64:]
    assert [field.number for field in message.DESCRIPTOR.fields][:13] == list(range(1, 14))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_heartbeat_with_any_byte_changed_is_refused(at: int, flip: int) -> None:
    data = bytearray(sign_heartbeat(IDENTITY, BEAT))
    data[at % len(data)] ^= flip
    try:
        signed = parse_heartbeat(bytes(data))
    except WireError:
        return
    assert not signed.signed_by(PUBLIC)


@pytest.mark.parametrize(
    "change",
    [
        {"node_id": b"short"},
        {"peer_ids": [b"short"]},
        {"peer_ids": [b"p" * 32] * 257},
        {"sequence": 0},
        {"sequence": 1 << 63},
        {"state": 9},
        {"cpu_usage_percent": float("nan")},
        {"used_storage_bytes": 10_000_000_001},
        {"total_storage_bytes": 1 << 63},
        {"signature": b"s" * 64},
    ],
)
def test_heartbeat_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    body = parse_heartbeat(sign_heartbeat(IDENTITY, BEAT)).body
    message = pb.Heartbeat.FromString(body)
    fields = {field.name: value for field, value in message.ListFields()}
    with pytest.raises(WireError):
        decode_heartbeat(pb.Heartbeat(**{**fields, **change}).SerializeToString())


def test_heartbeat_without_signature_or_too_long_is_refused() -> None:
    data = sign_heartbeat(IDENTITY, replace(BEAT, reason="x" * MAX_HEARTBEAT_BYTES))
    for bad in (data, data[:-66], b"", b"\x1a\x40"):
        with pytest.raises(WireError):
            parse_heartbeat(bad)


def test_fullest_heartbeat_fits_what_is_taken() -> None:
    full = replace(BEAT, peer_ids=tuple(NodeId(bytes([at]) * 32) for at in range(256)), reason="é" * 200)
    assert len(sign_heartbeat(IDENTITY, full)) < MAX_HEARTBEAT_BYTES
    assert parse_heartbeat(sign_heartbeat(IDENTITY, full)).heartbeat == full


@given(st.binary(max_size=300))
def test_any_bytes_as_heartbeat_or_answer_are_parsed_or_refused(data: bytes) -> None:
    for parse in (parse_heartbeat, decode_heartbeat, parse_answer):
        try:
            parse(data)
        except WireError:
            continue
