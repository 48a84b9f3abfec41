"""`cyxcloud placement`: why shards are where they are, and whether the rules hold for all that is stored."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.options import FAILED, CommandError, DataOption, JsonOption, explained, home_of, show, table
from cli.store import Store, open_existing
from cyxcloud.core.ids import PlacementId
from cyxcloud.core.profile import Profile
from cyxcloud.meta import blobs, nodes, placements, reads, segments
from cyxcloud.meta.rows import PlacementRow, PlacementState, SegmentRow, VersionRow
from cyxcloud.shards.frames import CHUNK_BYTES
from fleet.placement.explain import Explained, Scene, explain
from fleet.publishing import reputations
from s3gw.errors import S3Error
from s3gw.version_ids import parse_version_id

app = typer.Typer(help="Where shards are, and why.", no_args_is_help=True, rich_markup_mode=None)


@app.command("explain")
def explain_object(
    name: Annotated[str, typer.Argument(metavar="BUCKET/KEY", help="The object.")],
    *,
    version: Annotated[str | None, typer.Option(metavar="ID", help="A version of it. [the current one]")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show for each chunk its nodes, what they share, which rules hold, and what may be lost.

    Examples:

      cyxcloud placement explain photos/2026/sea.jpg

      cyxcloud placement explain photos/2026/sea.jpg --version null --json
    """
    with explained(), open_existing(home_of(data)) as store:
        value = _object(store, name, version)
    show(value, as_json=as_json, text=lambda console: _print(console, value))


@app.command("check")
def check(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Look through all placements that are written to or hold chunks for rules that are relaxed or broken.

    The exit code is 1 where two shards of a chunk share what today's nodes would let them avoid.

    Example: cyxcloud placement check --json
    """
    with explained(), open_existing(home_of(data)) as store:
        value = _all(store)
    show(value, as_json=as_json, text=lambda console: _print_check(console, value))
    if any(each["broken"] for each in value["rules"]):
        raise typer.Exit(FAILED)


def _object(store: Store, name: str, version: str | None) -> dict[str, Any]:
    with store.reader.snapshot():
        found = _version(store, name, version)
        pieces = segments.of(store.reader, found)
        used = [(piece, placement, n) for piece in pieces for placement, n in _chunks(store, piece)]
        lists = {row.id: row for row in placements.read_all(store.reader)}
        scene = _scene(store, [lists[placement] for _, placement, _ in used])
    by_placement = {placement: _described(explain(scene, lists[placement])) for _, placement, _ in used}
    chunks = [
        {"blob": f"{piece.blob:#x}", "n": n, "moving_to": lists[placement].successor} | by_placement[placement]
        for piece, placement, n in used
    ]
    return {"object": name, "size": found.size, "storage_class": found.storage_class, "chunks": chunks}


def _version(store: Store, name: str, version: str | None) -> VersionRow:
    bucket, slash, key = name.partition("/")
    if not slash or not key:
        raise CommandError(f"{name}: give BUCKET/KEY")
    raw = os.fsencode(key)
    if version is None:
        found = reads.read_object(store.reader, bucket, raw, with_body=False).version
    else:
        try:
            number = parse_version_id(version)
        except S3Error:
            raise CommandError(f"{version}: that is no version id") from None
        found = (
            reads.read_null(store.reader, bucket, raw, with_body=False).version
            if number is None
            else reads.read_version(store.reader, bucket, raw, number, with_body=False).version
        )
    if found is None or found.is_delete_marker:
        raise CommandError(f"{name}: there is no such object")
    return found


def _chunks(store: Store, segment: SegmentRow) -> Iterator[tuple[PlacementId, int]]:
    """The chunks that hold it; none where it is empty or stands in the metadata."""
    found = blobs.chunks(store.reader, segment.blob) if segment.length else None
    if found is None:
        return
    first, last = segment.offset // CHUNK_BYTES, (segment.offset + segment.length - 1) // CHUNK_BYTES
    yield from ((chunk.placement, chunk.n) for chunk in found[1] if first <= chunk.n <= last)


def _scene(store: Store, lists: list[PlacementRow]) -> Scene:
    profiles = sorted({Profile(row.k, row.m) for row in lists})
    return Scene.of(nodes.read_all(store.reader), profiles, random.SystemRandom(), reputations(store.reader))


def _described(found: Explained) -> dict[str, Any]:
    value: dict[str, Any] = asdict(found)
    return value


def _all(store: Store) -> dict[str, Any]:
    with store.reader.snapshot():
        in_use = set(placements.in_use(store.reader))
        held = [
            row for row in placements.read_all(store.reader) if row.state is PlacementState.OPEN or row.id in in_use
        ]
        scene = _scene(store, held)
    found = [explain(scene, row) for row in held]
    states = Counter((rule.rule, rule.state) for each in found for rule in each.rules)
    names = dict.fromkeys(rule.rule for each in found for rule in each.rules)
    rules = [{"rule": name} | {kind: states[name, kind] for kind in ("holds", "relaxed", "broken")} for name in names]
    return {
        "placements": len(found),
        "opened": sum(row.state is PlacementState.OPEN for row in held),
        "rules": rules,
        "broken": [each.placement for each in found if any(rule.state == "broken" for rule in each.rules)],
    }


def _print(console: Console, value: dict[str, Any]) -> None:
    chunks = value["chunks"]
    console.print(f"{value['object']}: {value['size']} bytes, {value['storage_class']}", markup=False)
    if not chunks:
        console.print("its bytes stand in the metadata: the mirror and the snapshots keep them")
    for chunk in chunks:
        moving = f", moving to placement {chunk['moving_to']}" if chunk["moving_to"] is not None else ""
        console.print(
            f"\nblob {chunk['blob']} chunk {chunk['n']}: placement {chunk['placement']} of {chunk['profile']}, "
            f"{chunk['readable']} of {len(chunk['shards'])} nodes can be read{moving}",
            markup=False,
        )
        table(console, ("index", "kind", "node", "state", "standing", "weight", "takes_writes", "why"), chunk["shards"])
        told = chain.from_iterable(_rule_text(rule) for rule in chunk["rules"])
        console.print("\n".join(told), markup=False)
        survives = ", ".join(f"{count} {kind}" for kind, count in chunk["survives"].items())
        console.print(f"survives the loss of {survives}", markup=False)


def _rule_text(rule: dict[str, Any]) -> Iterator[str]:
    if not rule["most"]:
        return
    where = f" ({rule['where']})" if rule["most"] > 1 else ""
    cap = f"at most {rule['wished']}" + (f", {rule['cap']} with today's nodes" if rule["cap"] > rule["wished"] else "")
    yield f"  {rule['rule']}: {rule['state']}: {cap}; the most here are {rule['most']}{where}"


def _print_check(console: Console, value: dict[str, Any]) -> None:
    console.print(f"{value['placements']} placements, {value['opened']} of them open for new chunks")
    table(console, ("rule", "holds", "relaxed", "broken"), value["rules"])
    if value["broken"]:
        console.print(f"broken in placements {', '.join(map(str, value['broken'][:20]))}: no new chunk goes there")
