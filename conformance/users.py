"""The users of an s3tests.conf file, made in a store with the keys that the file gives them."""

from __future__ import annotations

import configparser
from pathlib import Path

from cli.access import NewKey, NewUser, ensure_key, ensure_user
from cli.home import Home
from cli.store import open_existing
from cyxcloud.core.clock import SystemClock
from cyxcloud.meta.connection import Connection
from cyxcloud.objects.kms import ensure_key as ensure_kms_key

# What the suite encrypts under where its configuration names no keys.
KMS_KEYS = ("testkey-1", "testkey-2")
NEEDED = ("user_id", "access_key", "secret_key")


def users_of(conf: Path) -> list[tuple[NewUser, NewKey]]:
    """Every section that names a user with keys; the suite has six of them."""
    parser = configparser.RawConfigParser()
    with conf.open(encoding="utf-8") as file:
        parser.read_file(file)
    sections = [parser[name] for name in parser.sections()]
    return [
        (
            NewUser(each["user_id"], each.get("display_name", each["user_id"]), each.get("email", "")),
            NewKey(each["access_key"], each["secret_key"], f"of {conf.name}, [{each.name}]"),
        )
        for each in sections
        if all(name in each for name in NEEDED)
    ]


def provision(conf: Path, data: Path) -> list[str]:
    """Makes them, and the named keys of the suite, running store or stopped; safe to repeat. Gives their ids."""
    found = users_of(conf)
    now_ms = SystemClock().now_ms()
    with open_existing(Home.of([data])) as store:

        def request(conn: Connection) -> None:
            for name in KMS_KEYS:
                ensure_kms_key(conn, store.keyring, name, now_ms)
            for user, key in found:
                ensure_key(conn, store.keyring, ensure_user(conn, user, now_ms), key, now_ms)

        store.change(request)
    return [user.user_id for user, _ in found]
