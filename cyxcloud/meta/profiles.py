"""Which profile the chunks of a storage class are written with.

The store's own profile is fixed when it is made; classes without one of their own are written with it. What is stored
keeps the profile that it was written with, whatever is said here later.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from cyxcloud.core.profile import Profile
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.schema_fleet import profile
from cyxcloud.meta.statement import prepare

DEFAULT = ""  # the row of all classes that have none

_P = profile.c
_all = prepare(select(_P.storage_class, _P.k, _P.m).order_by(_P.storage_class))
_default = prepare(select(_P.k, _P.m).where(_P.storage_class == DEFAULT))
_insert = prepare(insert(profile))
_first = prepare(insert(profile).on_conflict_do_nothing(index_elements=["storage_class"]))
_forget = prepare(delete(profile).where(_P.storage_class != bindparam("kept")))


def create(conn: Connection, default: Profile) -> bool:
    """When the store is made; False where it has its profile already."""
    return conn.run(_first, {"storage_class": DEFAULT, "k": default.k, "m": default.m}) == 1


def default_profile(conn: Connection) -> Profile:
    """What the store was made with."""
    row = conn.one(_default)
    assert row is not None, "every store is made with a profile"
    return Profile(row[0], row[1])


def read_all(conn: Connection) -> dict[str, Profile]:
    """By storage class, with the store's own under DEFAULT."""
    return {row[0]: Profile(row[1], row[2]) for row in conn.rows(_all)}


def set_classes(conn: Connection, classes: Mapping[str, Profile]) -> bool:
    """These classes have profiles of their own, no others; False where that was so already."""
    assert DEFAULT not in classes
    known = read_all(conn)
    known.pop(DEFAULT, None)
    if known == dict(classes):
        return False
    conn.run(_forget, {"kept": DEFAULT})
    conn.run_many(_insert, [{"storage_class": name, "k": each.k, "m": each.m} for name, each in classes.items()])
    return True
