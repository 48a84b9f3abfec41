"""R5, R6, R7: shards damaged on the nodes' disks. Reads give the right bytes or none, and what was wrong is written down.

Damage is done to the pack files of running nodes and taken back afterwards, so that one store serves all tests.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest

from cyxcloud.core.ids import BlobId, ShardId
from nodefs.record import HEAD_BYTES, STATE, STATE_AT, Header, decode_header
from tests.cluster import packs
from tests.cluster.conftest import running
from tests.cluster.packs import Damage, Disks, Record, damaged, filed
from tests.cluster.running import Running, until
from tests.cluster.s3 import S3, Broken, object_path

K, M = 10, 4
KIB, MIB = 1 << 10, 1 << 20
SIZES = (17 * KIB, 60_000, 300 * KIB, 5 * MIB)
HOSTS = 8


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("damaged") / "data", node_processes=HOSTS, mover__enabled="false") as made:
        yield made


@pytest.fixture
async def s3(store: Running) -> AsyncIterator[S3]:
    async with store.s3() as client:
        yield client


def content(key: str, size: int) -> bytes:
    return random.Random(key).randbytes(size)


async def objects(s3: S3, bucket: str, sizes: list[int]) -> dict[str, bytes]:
    await s3.must("PUT", f"/{bucket}")
    made = {f"{number:03d}": content(f"{bucket}/{number}", size) for number, size in enumerate(sizes)}
    for key, body in made.items():
        await s3.put(bucket, key, body)
    return made


# R5

HURTS: dict[str, Damage] = {
    "missing": packs.marked_deleted,
    "zeros": packs.all_zeroed,
    "no header": packs.zeroed(0, HEAD_BYTES),
    "noise": packs.noise,
    "one bit": packs.in_payload(lambda size: size // 3),
}


@pytest.mark.parametrize(
    "patterns", [pytest.param(40, id="bounded"), pytest.param(200, id="full", marks=pytest.mark.long)]
)
async def test_any_four_nodes_shards_lost_or_damaged_are_made_up_for(store: Running, s3: S3, patterns: int) -> None:
    rng = random.Random(5)
    bucket = f"four-of-fourteen-{patterns}"
    made = await objects(s3, bucket, [SIZES[number % len(SIZES)] for number in range(patterns)])
    for key in list(made)[::2]:  # what a gateway remembers of a chunk must not make it blind
        assert await s3.get(bucket, key) == made[key]
    disks, damages = Disks(store), []
    must_file: set[ShardId] = set()
    may_file: set[ShardId] = set()
    for key in made:
        shards = disks.all_of(bucket, key)
        nodes = set(rng.sample(sorted({record.node for record in shards}), rng.randint(1, M)))
        hurt = [record for record in shards if record.node in nodes]
        damages += [(record, HURTS[rng.choice(sorted(HURTS))]) for record in hurt]
        must_file |= {record.shard for record in hurt if record.shard.index < K}
        may_file |= {record.shard for record in hurt}
    before = filed(store).keys()
    with damaged(damages):
        for key, body in made.items():
            assert await s3.get(bucket, key) == body, key
            first = rng.randrange(len(body))
            answer = await s3.must(
                "GET", object_path(bucket, key), headers={"Range": f"bytes={first}-{first + 70_000}"}
            )
            assert answer.body == body[first : first + 70_001], key
        until(lambda: must_file <= filed(store).keys(), "every damaged shard that was read is filed", 5)
    assert filed(store).keys() - before <= may_file, "nothing else is"
    for key, body in made.items():
        assert await s3.get(bucket, key) == body


# R6


async def refused_reads(s3: S3, bucket: str, key: str, body: bytes) -> None:
    """However it is asked for: an error within ten seconds, or a prefix that breaks off; never a wrong or whole answer."""
    started = time.monotonic()
    try:
        answer = await s3.call("GET", object_path(bucket, key))
    except Broken:
        assert len(body) > 4 * MIB, "only a read that had begun may break off"
    else:
        assert answer.status in (500, 503), answer.status
        assert answer.code in ("InternalError", "ServiceUnavailable", "SlowDown")
    assert time.monotonic() - started < 10


# A node that finds a header damaged sets the record aside, so only the others of these come back by mending the disk.
MENDABLE = {"missing", "noise", "one bit"}


@pytest.mark.parametrize("hurt", sorted(HURTS))
async def test_five_shards_gone_fail_the_read_until_one_is_back(store: Running, s3: S3, hurt: str) -> None:
    rng = random.Random(6)
    bucket = f"five-gone-{hurt.replace(' ', '-')}"
    made = await objects(s3, bucket, [20 * KIB, 700 * KIB])
    disks = Disks(store)
    for key, body in made.items():
        gone = rng.sample(disks.of(bucket, key), M + 1)
        with damaged([(record, HURTS[hurt]) for record in gone[:-1]]):
            assert await s3.get(bucket, key) == body, "four gone are survived"
            with damaged([(gone[-1], HURTS[hurt])]):
                await refused_reads(s3, bucket, key, body)
                head = await s3.call("HEAD", object_path(bucket, key))
                assert head.status == 200, "it is known, and listed"
                data_gone = {record.shard for record in gone}
                until(lambda: data_gone <= filed(store).keys(), "all five are filed", 5)  # noqa: B023
            if hurt in MENDABLE:
                assert await s3.get(bucket, key) == body, "one is back"


async def test_a_later_chunk_that_cannot_be_read_breaks_the_answer_off(store: Running, s3: S3) -> None:
    made = await objects(s3, "broken-off", [9 * MIB])
    disks = Disks(store)
    gone = random.Random(7).sample(disks.of("broken-off", "000", chunk=2), M + 1)
    with damaged([(record, packs.noise) for record in gone]):
        with pytest.raises(Broken):
            await s3.call("GET", object_path("broken-off", "000"))
        for span in ((0, 8 * MIB - 1), (100, 5 * MIB)):
            asked = {"Range": f"bytes={span[0]}-{span[1]}"}
            answer = await s3.must("GET", object_path("broken-off", "000"), headers=asked)
            assert answer.body == made["000"][span[0] : span[1] + 1], "what does not need it can be read"
        answer = await s3.call("GET", object_path("broken-off", "000"), headers={"Range": f"bytes={8 * MIB}-"})
        assert answer.status == 503
        copying = {"x-amz-copy-source": "/broken-off/000", "x-amz-checksum-algorithm": "SHA256"}
        copied = await s3.call("PUT", object_path("broken-off", "copy"), headers=copying)
        assert not copied.ok, "a copy that has to read it fails"
    assert await s3.get("broken-off", "000") == made["000"]


async def test_five_nodes_hung_fail_the_read_in_time(store: Running, s3: S3) -> None:
    """Stopped processes hold their connections open and answer nothing: worse than dead ones."""
    made = await objects(s3, "hung", [30 * KIB] * 8)
    disks = Disks(store)
    hosts = store.pids("nodehost")
    stopped = hosts[:3]
    folders = sorted(path.name for path in (store.data / "nodes").iterdir())
    silent = {folder for number in range(3) for folder in folders[number::HOSTS]}
    lost = {key for key in made if sum(record.node in silent for record in disks.of("hung", key)) > M}
    assert lost, "some of the objects lie on five of those six"
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.gather(*(refused_reads(s3, "hung", key, made[key]) for key in lost))
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    for key, body in made.items():
        assert await s3.get("hung", key) == body
    await written_in_full(store, s3, "hung")


async def written_in_full(store: Running, s3: S3, bucket: str) -> None:
    """Writers leave a node alone for a while that did not answer, then all fourteen shards are written again."""
    async with asyncio.timeout(10):
        while True:
            answer = await s3.call("PUT", object_path(bucket, "after"), content("after", 20 * KIB))
            if answer.ok and len(Disks(store).all_of(bucket, "after")) == K + M:
                return
            await asyncio.sleep(0.1)


# R7

FIELDS = {
    "magic": (0, 8),
    "state": (8, 4),
    "crc": (12, 4),
    "version": (16, 2),
    "index": (18, 1),
    "reserved byte": (19, 1),
    "header bytes": (20, 4),
    "blob": (24, 8),
    "chunk": (32, 4),
    "total": (36, 2),
    "proof bytes": (38, 2),
    "shard size": (40, 4),
    "reserved word": (44, 4),
    "stored at": (48, 8),
    "incarnation": (56, 16),
}


def shifted(record: Record) -> None:
    """A page slipped in before the payload: all that follows is in the wrong place."""
    whole = record.read()
    at = record.payload_at
    record.write((whole[:at] + bytes(4096) + whole[at:])[: record.size])


def cut(record: Record) -> None:
    os.truncate(record.pack, record.offset + record.payload_at + record.header.shard_size - 1)


def cut_to_header(record: Record) -> None:
    os.truncate(record.pack, record.offset + record.payload_at)


def cut_within_header(record: Record) -> None:
    os.truncate(record.pack, record.offset + 20)


def cut_off(record: Record) -> None:
    os.truncate(record.pack, record.offset)


CUTS: dict[str, Damage] = {
    "cut by a byte": cut,
    "cut to the header": cut_to_header,
    "cut within the header": cut_within_header,
    "cut off": cut_off,
}


def at_end_of_hashes(record: Record) -> int:
    return HEAD_BYTES + len(record.header.block_hashes)


def relabelled(change: Callable[[ShardId], ShardId]) -> Damage:
    return packs.lying(lambda header: replace(header, shard=change(header.shard)))


def classes() -> dict[str, Damage]:
    found: dict[str, Damage] = {}
    for name, (at, size) in FIELDS.items():
        found[f"{name}, first byte"] = packs.flipped(at)
        found[f"{name}, last byte"] = packs.flipped(at + size - 1)
        found[f"{name} zeroed or filled"] = (
            lambda record, at=at, size=size: record.write(  # type: ignore[misc]
                bytes(0xFF if byte == 0 else 0 for byte in record.read()[at : at + size]), at
            )
        )
    return found | {
        "first byte of the hashes": packs.flipped(HEAD_BYTES),
        "last byte of the hashes": lambda record: packs.flipped(at_end_of_hashes(record) - 1)(record),
        "first byte of the proof": lambda record: packs.flipped(at_end_of_hashes(record))(record),
        "last byte of the proof": lambda record: packs.flipped(record.payload_at - 1)(record),
        "first byte": packs.in_payload(lambda _: 0),
        "middle byte": packs.in_payload(lambda size: size // 2),
        "last byte": packs.in_payload(lambda size: size - 1),
        "page of zeros": packs.zeroed_page,
        "record of zeros": packs.all_zeroed,
        "payload of noise": packs.noise,
        "shifted by a page": shifted,
        "deleted": packs.marked_deleted,
        "quarantined": lambda record: record.write(STATE.pack(0x51554131), STATE_AT),
        # Whole in themselves: only what metadata commits to tells them from the truth.
        "says it is shorter": packs.lying(lambda header: replace(header, shard_size=header.shard_size - 1)),
        "says it is longer": packs.lying(lambda header: replace(header, shard_size=header.shard_size + 1)),
        "says another blob": relabelled(lambda shard: replace(shard, blob=BlobId(shard.blob + 1))),
        "says another chunk": relabelled(lambda shard: replace(shard, chunk=shard.chunk + 1)),
        "says another index": relabelled(lambda shard: replace(shard, index=shard.index ^ 1)),
        "other proof": packs.lying(lambda header: replace(header, proof=header.proof[::-1])),
        "no proof": packs.lying(_without_proof),
        "other hashes": packs.lying(lambda header: replace(header, block_hashes=header.block_hashes[::-1])),
    }


# A reader that has proven these block hashes before, or the proof's nodes by other shards', needs no proof: its bytes are
# right all the same, and only a forger makes the checksum fit.
NOT_ALWAYS_NEEDED = {"other proof", "no proof"}


def _without_proof(header: Header) -> Header:
    return replace(header, proof=bytes(len(header.proof)))


Damages = dict[str, list[tuple[Record, Damage]]]


async def detected(s3: S3, bucket: str, damages: Damages, bodies: dict[str, bytes], *, store: Running) -> None:
    """Each key's object reads right, and each damaged record is filed."""
    with damaged(pair for pairs in damages.values() for pair in pairs):
        for key in damages:
            assert await s3.get(bucket, key) == bodies[key], key
        noticed = {key: pairs for key, pairs in damages.items() if key not in NOT_ALWAYS_NEEDED}
        expected = {record.shard: key for key, pairs in noticed.items() for record, _ in pairs}
        try:
            until(lambda: expected.keys() <= filed(store).keys(), "all are detected", 5)
        except AssertionError:
            missed = sorted(expected[shard] for shard in expected.keys() - filed(store).keys())
            raise AssertionError(f"not detected: {missed}") from None
    for key in damages:
        assert await s3.get(bucket, key) == bodies[key]


@pytest.mark.parametrize(
    "size",
    [17 * KIB, 100 * KIB, pytest.param(3 * MIB, marks=pytest.mark.long), pytest.param(1 * MIB, marks=pytest.mark.long)],
)
async def test_damage_of_every_class_is_detected(store: Running, s3: S3, size: int) -> None:
    rng, bucket = random.Random(size), f"classes-{size}"
    await s3.must("PUT", f"/{bucket}")
    bodies = {name: content(name, size) for name in classes()}
    for name, body in bodies.items():
        await s3.put(bucket, name, body)
        if rng.random() < 0.5:
            assert await s3.get(bucket, name) == body
    disks = Disks(store)
    damages = {name: [(disks.of(bucket, name)[rng.randrange(K)], damage)] for name, damage in classes().items()}
    await detected(s3, bucket, damages, bodies, store=store)


async def test_cut_packs_are_detected(store: Running, s3: S3) -> None:
    """The pack's file ends within its last record; then it is whole again."""
    for number, (name, damage) in enumerate(CUTS.items()):
        bucket = f"cut-{number}"
        made = await objects(s3, bucket, [50_000])
        last = [record for record in Disks(store).of(bucket, "000")[:K] if record.is_last()]
        assert last, name
        await detected(s3, bucket, {"000": [(record, damage) for record in last[:M]]}, made, store=store)


async def test_pack_made_longer_changes_nothing(store: Running, s3: S3) -> None:
    """What lies behind the last record was never acknowledged, whatever it looks like; the next write goes over it."""
    made = await objects(s3, "longer", [50_000] * 3)
    shards = Disks(store).of("longer", "000")
    for record in shards:
        size = record.pack.stat().st_size
        with record.pack.open("ab") as pack:
            pack.write(packs.with_header(record.read(), replace(record.header, block_hashes=bytes(32))))
        assert record.pack.stat().st_size > size
    for key, body in made.items():
        assert await s3.get("longer", key) == body
    await s3.put("longer", "after", b"a" * 50_000)
    assert await s3.get("longer", "after") == b"a" * 50_000


async def test_swapped_shards_are_detected(store: Running, s3: S3) -> None:
    made = await objects(s3, "swapped", [50_000] * 12)
    disks, rng = Disks(store), random.Random(8)
    damages: dict[str, list[tuple[Record, Damage]]] = {}
    for number, key in enumerate(made):
        shards = disks.of("swapped", key)
        one, two = rng.sample(shards[:K], 2)
        theirs, other = two.read(), disks.neighbour(one).read()
        swaps: list[list[tuple[Record, Damage]]] = [
            # as they are, each in the other's place
            [(one, _becomes(theirs)), (two, _becomes(one.read()))],
            # each with the other's payload under its own header
            [(one, _payload(theirs, two)), (two, _payload(one.read(), one))],
            # the record of another blob on the same node, as it is
            [(one, _becomes(other))],
            # the same, made to say that it is this shard: an older generation, whole in itself
            [(one, lambda record, other=other: record.write(_claiming(other, record)))],  # type: ignore[misc]
        ]
        damages[key] = swaps[number % len(swaps)]
    await detected(s3, "swapped", damages, made, store=store)


def _becomes(record_bytes: bytes) -> Damage:
    return lambda record: record.write(record_bytes[: record.size])


def _payload(record_bytes: bytes, source: Record) -> Damage:
    end = source.payload_at + source.header.shard_size
    return lambda record: record.write(record_bytes[source.payload_at : end], record.payload_at)


def _claiming(record_bytes: bytes, place: Record) -> bytes:
    return packs.with_header(record_bytes, replace(decode_header(record_bytes), shard=place.shard))
