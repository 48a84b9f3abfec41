"""Alembic's entry: migrations always run on the connection that the caller hands over."""

from __future__ import annotations

from alembic import context

import cyxcloud.meta.schema_fleet  # noqa: F401 - its tables are part of the same metadata
from cyxcloud.meta.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
