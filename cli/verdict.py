"""The store in one word for a person or a monitor: green, yellow (something wants attention) or red (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def verdict(value: Mapping[str, Any]) -> tuple[str, list[str]]:
    """From what `status --json` tells: the state and every reason that it is not green."""
    red, yellow = _red(value), _yellow(value)
    return "red" if red else "yellow" if yellow else "green", [*red, *yellow]


def _red(value: Mapping[str, Any]) -> list[str]:
    reasons = []
    if value["roles"] and not value["ready"]:
        reasons.append("the S3 port does not answer")
    if value["roles"] and not value["nodes"]:
        reasons.append("no nodes have joined: what is larger than 16 KiB is refused")
    elif value["roles"] and value["survives"]["nodes"] <= 0:
        reasons.append("losing one more node loses data")
    return reasons


def _yellow(value: Mapping[str, Any]) -> list[str]:
    reasons = []
    if not value["keys"]["confirmed"]:
        reasons.append("recovery code not confirmed: `cyxcloud keys confirm` (without keys no data is readable)")
    if value["keys"]["rewrap"]["failed"]:
        reasons.append("some data keys do not open: see `cyxcloud meta check`")
    away = [node["name"] for node in value["nodes"] if node["state"] not in ("up", "stopped", "gone")]
    if away:
        reasons.append(f"not up: {', '.join(away)}")
    if value["roles"] and value["mirror"] is not None and value["mirror"]["state"] != "in step":
        reasons.append(f"the metadata's mirror is {value['mirror']['state']}: {value['mirror']['reason']}")
    if value["reconcile"]["state"] == "restored":
        reasons.append("restored and not confirmed: `cyxcloud meta adopt`")
    if value["reconcile"]["state"] == "held":
        reasons.append(f"much of {value['reconcile']['node']} looks unreferenced: see `cyxcloud meta adopt`")
    if value["mover"]["waiting_for"]:
        reasons.append(f"many nodes went together and are not repaired yet: {', '.join(value['mover']['waiting_for'])}")
    if value["mover"]["stuck"]:
        reasons.append(f"{value['mover']['stuck']} placements lack nodes: `cyxcloud node replace`")
    if value["repair"]["queued"]:
        reasons.append(f"{value['repair']['queued']} shards wait for repair")
    return reasons
