"""What `status` says of the snapshots on the nodes."""

from __future__ import annotations

from typing import Any

from cli.store import Store
from cyxcloud.core.clock import SystemClock
from cyxcloud.meta import cluster
from fleet.snapshot_taking import STATE_NAME
from fleet.snapshots import last_snapshot


def snapshot_status(store: Store) -> dict[str, Any] | None:
    """None before the first one, and after a restore until the next."""
    last = last_snapshot(store.home.meta / STATE_NAME)
    known, ticked = cluster.read(store.reader), cluster.clock(store.reader)
    if last is None or known is None or last.incarnation != known.incarnation:
        return None
    now_ms = max(SystemClock().now_ms(), 0 if ticked is None else ticked[0])
    return {"age_seconds": max(0, now_ms - last.taken_at_ms) // 1000, "sequence": last.sequence}


def snapshot_text(value: dict[str, Any] | None) -> str:
    if value is None:
        return "no snapshot of the metadata is on the nodes yet"
    return f"snapshot {value['sequence']} of the metadata on the nodes, {value['age_seconds']} s old"
