"""`cyxcloud object health`: where the shards of an object are, how they are, and what its loss would take.

On a running store each shard is asked for (or read, with --deep); on a stopped one only rows tell, and a shard counts
as there unless a repair of it waits.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.hosts import connected
from cli.options import FAILED, CommandError, DataOption, JsonOption, explained, home_of, show, table
from cli.store import Store, open_existing
from cyxcloud.core.ids import BlobId, NodeId, NodeNumber, PlacementId
from cyxcloud.meta import blobs, nodes, placements, reads, repairs, segments
from cyxcloud.meta.rows import BlobRow, ChunkRow, NodeRow, PlacementRow, SegmentRow
from cyxcloud.shards.frames import CHUNK_BYTES
from cyxcloud.wire.shardhost import ShardHost
from cyxcloud.wire.status import HostRefused, HostUnavailable, ScrubAction, WireError
from fleet.shardstates import PlacedChunk, ShardState, ask, read

app = typer.Typer(help="Objects as the nodes hold them.", no_args_is_help=True, rich_markup_mode=None)

PLACED = "placed"  # of a stopped store: rows say that it is there
GOOD = frozenset({PLACED, str(ShardState.OK)})
MARKS = {"ok": "#", PLACED: "#", "missing": "-", "corrupt": "!", "unreachable": "?"}


@app.command("health")
def health(
    name: Annotated[str, typer.Argument(metavar="BUCKET/KEY", help="The object; its current version is looked at.")],
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Read every shard and check it against its chunk.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an object's chunks and shards: node, disk, state, and what is being done about it.

    The exit code is 1 where a chunk cannot be read.

    Examples:

      cyxcloud object health photos/2026/sea.jpg

      cyxcloud object health photos/2026/sea.jpg --deep --json
    """
    with explained(), open_existing(home_of(data)) as store:
        value = asyncio.run(_gather(store, name, deep=deep))
    show(value, as_json=as_json, text=lambda console: _print(console, value))
    if value["state"] == "unreadable":
        raise typer.Exit(FAILED)


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the shards' places are named by; `verified_at_ms` is the end of a node's last scrub."""

    nodes: Mapping[NodeNumber, NodeRow]
    placements: Mapping[PlacementId, PlacementRow]
    hosts: Sequence[ShardHost]
    running: bool
    verified_at_ms: Mapping[NodeId, int]


async def _gather(store: Store, name: str, *, deep: bool) -> dict[str, Any]:
    bucket, slash, key = name.partition("/")
    if not slash or not key:
        raise CommandError(f"{name}: give BUCKET/KEY")
    with store.reader.snapshot():
        found = reads.read_object(store.reader, bucket, os.fsencode(key), with_body=False).version
        if found is None or found.is_delete_marker:
            raise CommandError(f"{name}: there is no such object")
        pieces = segments.of(store.reader, found)
        numbered = {row.number: row for row in nodes.read_all(store.reader)}
        lists = {row.id: row for row in placements.read_all(store.reader)}
    async with connected(store) as hosts:
        fleet = Fleet(numbered, lists, hosts, bool(hosts), await _verified(hosts))
        described = [await _segment(store, fleet, piece, deep=deep) for piece in pieces]
    chunks = [chunk for piece in described for chunk in piece["chunks"]]
    return {
        "object": name,
        "size": found.size,
        "deep": deep and bool(hosts),
        "running": bool(hosts),
        "state": _overall(chunks),
        "survives": {"nodes": min((chunk["survives"] for chunk in chunks), default=None)},
        "segments": described,
    }


async def _verified(hosts: Sequence[ShardHost]) -> dict[NodeId, int]:
    found: dict[NodeId, int] = {}
    for host in hosts:
        try:
            found |= {each.node_id: each.finished_at_ms for each in await host.scrub(ScrubAction.STATUS)}
        except (HostUnavailable, HostRefused, WireError):
            continue
    return found


async def _segment(store: Store, fleet: Fleet, segment: SegmentRow, *, deep: bool) -> dict[str, Any]:
    """The chunks that hold it; none where it is empty or inline, which stands in the metadata alone."""
    rows = blobs.chunks(store.reader, segment.blob) if segment.length else None
    chunks = [] if rows is None else list(_touched(segment, *rows))
    return {
        "blob": f"{segment.blob:#x}",
        "offset": segment.offset,
        "length": segment.length,
        "inline": rows is None and segment.length > 0,
        "chunks": [await _chunk(store, fleet, blob, chunk, deep=deep) for blob, chunk in chunks],
    }


def _touched(segment: SegmentRow, blob: BlobRow, chunks: Sequence[ChunkRow]) -> Iterator[tuple[BlobRow, ChunkRow]]:
    first, last = segment.offset // CHUNK_BYTES, (segment.offset + segment.length - 1) // CHUNK_BYTES
    return ((blob, chunk) for chunk in chunks if first <= chunk.n <= last)


async def _chunk(store: Store, fleet: Fleet, blob: BlobRow, chunk: ChunkRow, *, deep: bool) -> dict[str, Any]:
    placement = fleet.placements.get(chunk.placement)
    members = () if placement is None else placement.nodes
    waiting = _waiting(store, blob.id, chunk.n)
    states = await _states(fleet, blob.id, chunk, members, waiting, deep=deep)
    shards = [
        {
            "index": index,
            "node": row.name if (row := fleet.nodes.get(number)) is not None else f"node {number}",
            "disk": row.disk if row is not None else "",
            "state": state,
            "repair": waiting.get(index),
            "verified_at_ms": fleet.verified_at_ms.get(row.node_id) or None if row is not None else None,
        }
        for index, (number, state) in enumerate(zip(members, states, strict=True))
    ]
    good = sum(state in GOOD for state in states)
    return {
        "n": chunk.n,
        "placement": chunk.placement,
        "moving_to": None if placement is None else placement.successor,
        "needs": blob.k,
        "good": good,
        "survives": good - blob.k,
        "shards": shards,
    }


def _waiting(store: Store, blob: BlobId, chunk: int) -> dict[int, str]:
    """Reasons of the repairs that wait, by shard."""
    page = repairs.page(store.reader, after=(blob, chunk, -1), limit=256)
    return {row.shard_index: row.reason for row in takewhile(lambda row: (row.blob, row.chunk) == (blob, chunk), page)}


async def _states(
    fleet: Fleet,
    blob: BlobId,
    chunk: ChunkRow,
    members: Sequence[NodeNumber],
    waiting: Mapping[int, str],
    *,
    deep: bool,
) -> list[str]:
    if not fleet.running:
        return [str(ShardState.MISSING) if index in waiting else PLACED for index in range(len(members))]
    ids = tuple(fleet.nodes[number].node_id if number in fleet.nodes else NodeId(b"") for number in members)
    look = read if deep else ask
    return [str(state) for state in await look(fleet.hosts, PlacedChunk(blob, chunk.n, chunk.root, ids))]


def _overall(chunks: Sequence[Mapping[str, Any]]) -> str:
    if any(chunk["survives"] < 0 for chunk in chunks):
        return "unreadable"
    whole = all(chunk["good"] == len(chunk["shards"]) for chunk in chunks)
    return "whole" if whole else "degraded"


def _print(console: Console, value: dict[str, Any]) -> None:
    chunks = [chunk for piece in value["segments"] for chunk in piece["chunks"]]
    console.print(f"{value['object']}: {value['size']} bytes, {value['state']}", markup=False)
    if not chunks:
        console.print("its bytes stand in the metadata: the mirror and the snapshots keep them")
        return
    if not value["running"]:
        console.print("the store is stopped: this is what its rows say")
    if (survived := value["survives"]["nodes"]) >= 0:
        console.print(f"survives the loss of {survived} more nodes, whichever they are")
    console.print()
    for piece in value["segments"]:
        for chunk in piece["chunks"]:
            marks = "".join(MARKS[shard["state"]] for shard in chunk["shards"])
            moving = f"  moving to placement {chunk['moving_to']}" if chunk["moving_to"] is not None else ""
            console.print(
                f"blob {piece['blob']} chunk {chunk['n']}  {marks}  {chunk['good']} of {len(chunk['shards'])} good, "
                f"{chunk['needs']} needed{moving}",
                markup=False,
            )
    bad = [
        {"chunk": f"{piece['blob']} {chunk['n']}"} | shard | {"repair": shard["repair"] or ""}
        for piece in value["segments"]
        for chunk in piece["chunks"]
        for shard in chunk["shards"]
        if shard["state"] not in GOOD or shard["repair"]
    ]
    console.print("\n# good   - missing   ! corrupt   ? not reachable")
    if bad:
        console.print()
        table(console, ("chunk", "index", "node", "disk", "state", "repair"), bad)
