"""Storage classes get the profiles that the settings give them; what is stored keeps the one it was written with."""

from __future__ import annotations

import random
from collections.abc import Mapping

from cli.store import change
from cyxcloud.core.config import ConfigError
from cyxcloud.core.profile import Profile
from cyxcloud.meta import cluster, nodes, profiles
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.database import Database
from cyxcloud.meta.rows import GONE
from cyxcloud.objects.storage_classes import RANK
from fleet.publishing import publish_pools


def bring_up_to_date(database: Database, given: Mapping[str, str]) -> None:
    """At each start. A pool that these nodes do not suffice for is made when there are more."""
    if unknown := sorted(given.keys() - RANK.keys()):
        raise ConfigError(f"classes: there is no storage class {unknown[0]}; there are {', '.join(RANK)}")
    classes = {name: Profile.parse(text) for name, text in given.items()}

    def request(conn: Connection) -> None:
        if profiles.set_classes(conn, classes):
            publish_pools(conn, [row for row in nodes.read_all(conn) if row.state != GONE], random.SystemRandom())
            cluster.bump(conn, Epoch.TOPOLOGY)

    known = profiles.read_all(database.reader())
    if {name: each for name, each in known.items() if name != profiles.DEFAULT} != classes:
        change(database, request)
