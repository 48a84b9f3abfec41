"""`cyxcloud meta check`: the metadata against itself and against the nodes, on a store that runs or not."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from cli import mirror
from cli.hosts import connected
from cli.options import FAILED, DataOption, JsonOption, explained, home_of, show
from cli.store import Store, open_existing
from cyxcloud.core import config
from cyxcloud.core.clock import SystemClock
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import check, cluster, nodes, placements
from cyxcloud.meta.check import MAX_FINDINGS, Context, Finding, Kind
from cyxcloud.meta.check_shards import live_chunks
from fleet.shardcheck import ShardCheck

# As many chunks tell one damaged node among hundreds; asking for them takes a second.
SAMPLED_CHUNKS = 1000
SHOWN = 100


def meta_check(
    *,
    full: Annotated[bool, typer.Option("--full", help="Ask for every shard, and read every page of the file.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what the rest tells how to mend.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that the metadata agrees with itself, and that shards are where it says.

    Without --full a sample of a thousand chunks is asked for; on a stopped store none. The exit code is 1 while
    something is wrong.

    Examples:

      cyxcloud meta check

      cyxcloud meta check --full --repair --json
    """
    with explained(), open_existing(home_of(data)) as store:
        value = _checked(store, full=full, repair=repair)
    show(value, as_json=as_json, text=lambda console: _print(console, value))
    if value["problems"] > value["repaired"]:
        raise typer.Exit(FAILED)


def _checked(store: Store, *, full: bool, repair: bool) -> dict[str, Any]:
    started = time.monotonic()
    context = _context(store)
    found = _file_findings(store, full=full) + check.run(store.reader, context)
    counts = check.counts(store.reader)
    shards, shard_findings = asyncio.run(_shards(store, counts["chunks"], full=full))
    found += shard_findings
    repaired = _repair(store, found, context) if repair else set()
    return {
        "checked": counts,
        "shards": shards,
        "problems": len(found),
        "repaired": len(repaired),
        "by_kind": dict(Counter(str(finding.kind) for finding in found)),
        "findings": [
            {
                "kind": str(finding.kind),
                "where": finding.where,
                "problem": finding.problem,
                "repairable": finding.repair is not None,
                "repaired": number in repaired,
            }
            for number, finding in enumerate(found)
        ],
        "seconds": round(time.monotonic() - started, 3),
    }


def _context(store: Store) -> Context:
    grace_ms = int(config.load(store.home.path).delete_grace * 1000)
    wrapping = Keyring.open(store.home.keys).wrapping  # read anew: a rotation may be under way
    return Context(frozenset(wrapping.keys), _now_ms(store) + grace_ms)


def _now_ms(store: Store) -> int:
    kept = cluster.clock(store.reader)
    return SystemClock().now_ms() if kept is None else kept[0]


def _file_findings(store: Store, *, full: bool) -> list[Finding]:
    if not full:
        return []
    where = str(store.database.path)
    return [Finding(Kind.FILE, where, problem) for problem in store.database.problems()]


async def _shards(store: Store, chunks: int, *, full: bool) -> tuple[dict[str, Any], list[Finding]]:
    found: list[Finding] = []
    async with connected(store) as hosts:
        if not hosts:
            return {"depth": "none", "chunks": 0, "by_state": {}}, found
        work = ShardCheck(
            hosts,
            {row.id: row for row in placements.read_all(store.reader)},
            {row.number: row.node_id for row in nodes.read_all(store.reader)},
            _now_ms(store),
        )
        stride = 1 if full else max(1, chunks // SAMPLED_CHUNKS)
        async for finding in work.findings(live_chunks(store.reader, stride)):
            found.append(finding)
            if len(found) >= MAX_FINDINGS:
                break
    states = {str(state): count for state, count in sorted(work.counts.items())}
    depth = "full" if full else "sampled"
    return {"depth": depth, "chunks": work.chunks, "by_state": states}, found


def _repair(store: Store, found: Sequence[Finding], context: Context) -> set[int]:
    """Numbers of the findings that are mended, by their own repair or by another's."""
    writer = store.database.writer()
    writer.start()
    try:
        done = [finding.repair is not None and writer.call(finding.repair) for finding in found]
    finally:
        writer.close()
    mirror.after_command(store.home)
    left = {(finding.kind, finding.where, finding.problem) for finding in check.run(store.reader, context)}
    return {
        number
        for number, finding in enumerate(found)
        if finding.repair is not None
        and (done[number] if finding.kind is Kind.SHARD else (finding.kind, finding.where, finding.problem) not in left)
    }


def _print(console: Console, value: dict[str, Any]) -> None:
    looked_at = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in value["checked"].items())
    shards = value["shards"]
    asked = "; shards not asked for: the store is stopped"
    if shards["depth"] != "none":
        states = ", ".join(f"{count} {state}" for state, count in shards["by_state"].items()) or "none"
        asked = f"; shards of {shards['chunks']} chunks ({shards['depth']}): {states}"
    console.print(f"looked at {looked_at}{asked}; {value['seconds']} s")
    for each in value["findings"][:SHOWN]:
        mark = "repaired" if each["repaired"] else "can be repaired" if each["repairable"] else "cannot be derived"
        console.print(f"{each['kind']}: {each['where']}: {each['problem']} ({mark})", markup=False)
    if len(value["findings"]) > SHOWN:
        console.print(f"... and {len(value['findings']) - SHOWN} more: --json lists them")
    if value["problems"] == 0:
        console.print("nothing wrong")
    elif value["problems"] > value["repaired"]:
        console.print(f"{value['problems']} problems, {value['repaired']} repaired; --repair mends what can be derived")
