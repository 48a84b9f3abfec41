"""What `status` says of the keyring."""

from __future__ import annotations

from typing import Any

from cli import control
from cli.home import is_running
from cli.store import Store
from cyxcloud.core.keyring import Keyring
from cyxcloud.meta import cluster


def keys_status(store: Store) -> dict[str, Any]:
    """`rewrap.complete`: every data key was found under the current wrapping key."""
    # Read anew: another process may be rotating.
    wrapping, known = Keyring.open(store.home.keys).wrapping, cluster.read(store.reader)
    assert known is not None
    return {
        "confirmed": store.keyring.is_confirmed(store.home.keys),
        "current": wrapping.current,
        "rewrap": {"complete": known.settled_key == wrapping.current} | _progress(store),
    }


def _progress(store: Store) -> dict[str, Any]:
    idle: dict[str, Any] = {"running": False, "seen": 0, "total": 0, "changed": 0, "failed": 0}
    if not is_running(store.home):
        return idle
    try:
        found = control.ask(store.home.control_socket, "GET", "/keys")
    except control.NoAnswer:
        return idle
    return {name: found[name] for name in idle}
