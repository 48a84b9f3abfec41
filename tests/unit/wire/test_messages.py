from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import BlobId, NodeId, ShardId
from cyxcloud.wire import messages_pb2 as pb
from cyxcloud.wire.codec import (
    Hello,
    get_message,
    hello_message,
    join_shards,
    locate_message,
    node_message,
    parse_get,
    parse_get_result,
    parse_hello,
    parse_locate_result,
    parse_put,
    parse_scrub,
    parse_statuses,
    put_message,
    scrub_message,
    split_shards,
)
from cyxcloud.wire.framing import MAX_MESSAGE_BYTES, FrameProtocol, frame
from cyxcloud.wire.orders import Order, decode_order, decode_receipt, encode_order
from cyxcloud.wire.shardhost import Extent, GetBatch, NodeInfo, PutBatch, ScrubProgress, range_bytes
from cyxcloud.wire.sharing import SharedMemory, Slot
from cyxcloud.wire.status import NodeState, ScrubAction, Status, WireError

NODE = NodeId(bytes(range(32)))
PUT = PutBatch(
    blob=BlobId(7 << 32 | 5),
    chunk=3,
    total=14,
    shard_size=4,
    indexes=[2, 9],
    nodes=[NODE, NodeId(b"n" * 32)],
    block_hashes=[b"h" * 32, b"i" * 32],
    proofs=[b"p" * 32, b""],
    payloads=[b"abcd", b"efgh"],
    verify=True,
)
INFO = NodeInfo(NODE, "n1", 2049, NodeState.READ_ONLY, b"i" * 16, 100, 60, 40, 3, "full")
FOUND = ShardId(BlobId(7 << 32 | 5), 3, 9)
SCRUBBED = ScrubProgress(
    NODE, running=True, done_bytes=5, total_bytes=6, started_at_ms=1000, finished_at_ms=900, found=2
)
ORDER = Order(b"c" * 16, b"i" * 16, NODE, (ShardId(BlobId(5), 6, 7),), 1000, 2000, 3)
LOCATED = pb.LocateResult(
    statuses=b"\x01\x07",
    shard_size=9,
    block_hashes=b"h" * 32,
    proofs=[b"p" * 32],
    packs=[3],
    offsets=[4232],
    header_bytes=[136],
    header_crcs=[0xDEADBEEF],
)

# What is sent today must be understood for ever: these bytes never change, new fields only come after them.
GOLDEN = {
    "put": "000000c4084d10882718082aba010885808080701003180e20042a40000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e320202093a40686868686868686868686868686868686868686868686868686868686868686869696969696969696969696969696969696969696969696969696969696969694220707070707070707070707070707070707070707070707070707070707070707042004801",
    "get": "00000059084e1088273a5208858080807010031a40000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e2202020928013002",
    "hello": "000000890801228401080110011a046c656e642207676174657761792a10636363636363636363636363636363633210696969696969696969696969696969693a4b0a20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f12026e3118811020032a10696969696969696969696969696969693064383c40284803520466756c6c",
    "order": "0a10636363636363636363636363636363631210696969696969696969696969696969691a20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f220d0000000000000005000000060728e80730d00f3803",
    "locate": "00000051a2014e08858080807010031a40000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e22020209",
    "located": "0000005faa015c0a02010710091a206868686868686868686868686868686868686868686868686868686868686868222070707070707070707070707070707070707070707070707070707070707070702a0103320288213a0288014205effdb6f50d",
    "open node": "000000120801b2010d0a0b2f642f6e6f6465732f6e31",
    "opened": "000000520801ba014d0a4b0a20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f12026e3118811020032a10696969696969696969696969696969693064383c40284803520466756c6c",
    "ask findings": "0000002c0801c201270a20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f10ac021809",
    "findings": "00000015ca01120a0d0000000700000005000000030910ad02",
    "put pointer": "0000002cd201290a20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f12057768657265",
    "get pointer": "00000025da01220a20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "pointer": "0000000ce20109080112057768657265",
    "scrub": "00000027ea012408021220000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "scrubbed": "00000035f201320a300a20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f10011805200628e8073084073802",
}


def encoded() -> dict[str, bytes]:
    asked = GetBatch(PUT.blob, 3, [2, 9], PUT.nodes, 1, 2)
    return {
        "put": frame(put_message(PUT, 77, 5000)),
        "get": frame(get_message(asked, 78, 5000)),
        "hello": frame(hello_message(Hello("gateway", b"c" * 16, b"i" * 16, ("lend",), (INFO,)), 1)),
        "order": encode_order(ORDER),
        "locate": frame(locate_message(PUT.blob, 3, [2, 9], PUT.nodes)),
        "located": frame(pb.Envelope(locate_result=LOCATED)),
        "open node": frame(pb.Envelope(request_id=1, open_node=pb.OpenNode(folder=b"/d/nodes/n1"))),
        "opened": frame(pb.Envelope(request_id=1, open_result=pb.OpenResult(node=node_message(INFO)))),
        "ask findings": frame(pb.Envelope(request_id=1, findings=pb.AskFindings(node_id=NODE, after=300, limit=9))),
        "findings": frame(pb.Envelope(findings_result=pb.FindingsResult(shards=FOUND.pack(), last=301))),
        "put pointer": frame(pb.Envelope(put_pointer=pb.PutPointer(node_id=NODE, pointer=b"where"))),
        "get pointer": frame(pb.Envelope(get_pointer=pb.GetPointer(node_id=NODE))),
        "pointer": frame(pb.Envelope(pointer_result=pb.PointerResult(found=True, pointer=b"where"))),
        "scrub": frame(pb.Envelope(scrub=pb.Scrub(action=ScrubAction.START, nodes=NODE))),
        "scrubbed": frame(pb.Envelope(scrub_result=pb.ScrubResult(progress=[scrub_message(SCRUBBED)]))),
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_bytes_are_as_they_always_were(name: str) -> None:
    assert encoded()[name].hex() == GOLDEN[name]


def test_messages_round_trip() -> None:
    data = encoded()
    put = pb.Envelope.FromString(data["put"][4:])
    parsed = parse_put(put.put, memoryview(b"abcdefgh"))
    assert (parsed.blob, parsed.chunk, parsed.total, parsed.verify) == (PUT.blob, 3, 14, True)
    assert list(parsed.indexes) == [2, 9]
    assert (parsed.nodes, parsed.block_hashes, parsed.proofs) == (PUT.nodes, PUT.block_hashes, PUT.proofs)
    assert [bytes(payload) for payload in parsed.payloads] == PUT.payloads
    get = parse_get(pb.Envelope.FromString(data["get"][4:]).get)
    assert (list(get.indexes), get.nodes, get.first_block, get.block_count) == ([2, 9], PUT.nodes, 1, 2)
    hello = parse_hello(pb.Envelope.FromString(data["hello"][4:]).hello)
    assert hello == Hello("gateway", b"c" * 16, b"i" * 16, ("lend",), (INFO,))
    assert decode_order(data["order"]) == ORDER
    scrubbed = pb.Envelope.FromString(data["scrubbed"][4:]).scrub_result.progress
    assert [parse_scrub(progress) for progress in scrubbed] == [SCRUBBED]


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": b"n" * 63},
        {"block_hashes": b"h" * 33},
        {"shard_size": 5},
        {"shard_size": 0},
        {"total": 0},
        {"total": 300},
        {"total": 9},
        {"indexes": b""},
    ],
)
def test_put_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    message = put_message(PUT, 1, 1).put
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(WireError):
        parse_put(message, memoryview(b"abcdefgh"))


def shared_put() -> tuple[pb.PutShards, memoryview]:
    """The same put, its shards in shared memory; and that memory."""
    memory = SharedMemory(8192)
    memory.number = 99
    memory.view[4096 + 2 * 4 : 4096 + 3 * 4] = b"abcd"
    memory.view[4096 + 9 * 4 : 4096 + 10 * 4] = b"efgh"
    slot = Slot(memory.view[4096 : 4096 + 14 * 4], memory, 4096, lambda _: None)
    envelope = put_message(PUT, 1, 1, slot)
    assert envelope.payload_bytes == 0
    return envelope.put, memory.view


def test_put_from_shared_memory_takes_its_shards_by_index() -> None:
    message, memory = shared_put()
    assert message.memory == 99
    parsed = parse_put(message, memoryview(b""), memory)
    assert [bytes(payload) for payload in parsed.payloads] == PUT.payloads
    with pytest.raises(WireError, match="payload"):
        parse_put(message, memoryview(b"abcdefgh"), memory)


@pytest.mark.parametrize("offset", [8192 - 14 * 4 + 1, 8192, 1 << 40])
def test_put_from_beyond_the_shared_memory_is_refused(offset: int) -> None:
    message, memory = shared_put()
    message.memory_offset = offset
    with pytest.raises(WireError, match="beyond"):
        parse_put(message, memoryview(b""), memory)


def test_overlong_proof_is_refused() -> None:
    message = put_message(PUT, 1, 1).put
    message.proofs[0] = bytes(9 * 32)
    with pytest.raises(WireError):
        parse_put(message, memoryview(b"abcdefgh"))


def test_get_answer_whose_lengths_disagree_is_refused() -> None:
    asked = GetBatch(BlobId(1), 0, [0], [NODE])
    good = pb.GetResult(statuses=b"\x01", shard_size=3, block_hashes=bytes(32), proofs=[b""])
    assert bytes(parse_get_result(good, memoryview(b"abc"), asked).payload) == b"abc"
    with pytest.raises(WireError):
        parse_get_result(good, memoryview(b"abcd"), asked)
    with pytest.raises(WireError):
        parse_get_result(pb.GetResult(statuses=b""), memoryview(b""), asked)
    with pytest.raises(WireError):
        parse_statuses(b"\x63", 1)


def test_located_shards_round_trip_and_contradictions_are_refused() -> None:
    answer = parse_locate_result(LOCATED, 2)
    assert answer.statuses == [Status.OK, Status.NOT_FOUND]
    assert (answer.shard_size, answer.hashes, answer.proofs) == (9, [b"h" * 32], [b"p" * 32])
    assert answer.extents == [Extent(3, 4232, 136, 0xDEADBEEF)]
    changes: list[dict[str, Any]] = [
        {"block_hashes": b""},
        {"packs": [3, 4]},
        {"header_crcs": []},
        {"offsets": [135]},
        {"statuses": b"\x01\x01"},
        {"statuses": b"\x01"},
    ]
    fields = {field.name: value for field, value in LOCATED.ListFields()}
    for change in changes:
        with pytest.raises(WireError):
            parse_locate_result(pb.LocateResult(**{**fields, **change}), 2)


def test_newer_protocol_and_unknown_states_are_refused() -> None:
    with pytest.raises(WireError, match="protocol"):
        parse_hello(pb.Hello(protocol_min=2, protocol_max=3))
    with pytest.raises(WireError, match="state"):
        parse_hello(pb.Hello(protocol_min=1, protocol_max=1, nodes=[pb.NodeInfo(state=9)]))


@given(st.binary(max_size=200))
def test_any_bytes_as_order_receipt_or_list_are_parsed_or_refused(data: bytes) -> None:
    for parse in (decode_order, decode_receipt, split_shards):
        try:
            parse(data)
        except WireError:
            continue


def test_shard_lists_round_trip() -> None:
    shards = [ShardId(BlobId(1 << 62), 4, 13), ShardId(BlobId(1), 0, 0)]
    assert split_shards(join_shards(shards)) == shards


@pytest.mark.parametrize(
    ("size", "first", "count", "expected"),
    [(100, 0, 0, 100), (100, 1, 0, 0), (200_000, 1, 1, 65536), (200_000, 3, 9, 3392), (65536, 0, 1, 65536)],
)
def test_range_bytes(size: int, first: int, count: int, expected: int) -> None:
    assert range_bytes(size, first, count) == expected


class Collector(FrameProtocol):
    def __init__(self) -> None:
        super().__init__()
        self.got: list[tuple[int, bytes]] = []
        self.error: WireError | None = None

    def frame_received(self, message: pb.Envelope, payload: memoryview) -> None:
        self.got.append((message.request_id, bytes(payload)))

    def broken(self, error: WireError) -> None:
        self.error = error

    def feed(self, data: bytes, cuts: list[int]) -> None:
        at = 0
        for cut in [*cuts, len(data)]:
            end = min(len(data), at + cut)
            while at < end:
                buffer = self.get_buffer(-1)
                taken = data[at : min(end, at + len(buffer))]
                buffer[: len(taken)] = taken
                self.buffer_updated(len(taken))
                at += len(taken)


@given(
    st.lists(st.one_of(st.integers(0, 100), st.integers(40_000, 300_000)), max_size=6),
    st.lists(st.integers(1, 70_000), max_size=20),
)
def test_frames_come_out_as_they_went_in_however_they_are_cut(sizes: list[int], cuts: list[int]) -> None:
    stream, expected = b"", []
    for number, size in enumerate(sizes, 1):
        payload = bytes([number]) * size
        stream += frame(pb.Envelope(request_id=number, payload_bytes=size)) + payload
        expected.append((number, payload))
    collector = Collector()
    collector.feed(stream, cuts)
    assert collector.got == expected
    assert collector.error is None


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", MAX_MESSAGE_BYTES + 1),
        struct.pack(">I", 3) + b"\xff\xff\xff",
        frame(pb.Envelope(request_id=1, payload_bytes=1 << 40)),
    ],
)
def test_senseless_frames_break_the_stream_before_memory_is_given(data: bytes) -> None:
    collector = Collector()
    collector.feed(data, [])
    assert collector.error is not None
    assert collector.got == []


def test_largest_message_fits_the_staging_buffer() -> None:
    collector = Collector()
    small = frame(pb.Envelope(request_id=1))
    large = frame(pb.Envelope(request_id=2, error=pb.Error(text="x" * (MAX_MESSAGE_BYTES - 20))))
    collector.feed(small * 3 + large + small + large, [60_000] * 20)
    assert [number for number, _ in collector.got] == [1, 1, 1, 2, 1, 2]


def test_big_payload_that_makes_no_sense_breaks_the_stream() -> None:
    class Refusing(Collector):
        def frame_received(self, message: pb.Envelope, payload: memoryview) -> None:
            raise WireError("not what was asked for")

    collector = Refusing()
    collector.feed(frame(pb.Envelope(request_id=1, payload_bytes=500_000)) + bytes(500_000), [])
    assert collector.error is not None
