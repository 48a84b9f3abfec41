"""What repair, reconciliation and restore have to remember."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, SmallInteger, Text

Id = BigInteger().with_variant(Integer(), "sqlite")

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cluster", Column("adopted", SmallInteger, nullable=False, server_default="1"))
    op.add_column("cluster", Column("restored_at_ms", Id, nullable=True))
    op.add_column("cluster", Column("newest_key", Id, nullable=False, server_default="1"))
    op.add_column("cluster", Column("settled_key", Id, nullable=False, server_default="1"))
    op.add_column("session", Column("oldest_read_ms", Id, nullable=True))
    op.add_column("node", Column("since_ms", Id, nullable=False, server_default="0"))
    op.add_column("node", Column("leaving", SmallInteger, nullable=False, server_default="0"))
    op.create_table(
        "stray",
        Column("node", Integer, nullable=False),
        Column("blob", Id, nullable=False),
        Column("chunk", Integer, nullable=False),
        Column("shard_index", SmallInteger, nullable=False),
        Column("due_at_ms", Id, nullable=False),
        Column("sequence", Id, nullable=True),
        PrimaryKeyConstraint("node", "blob", "chunk", "shard_index"),
        sqlite_with_rowid=False,
    )
    op.create_index("stray_due", "stray", ["node", "due_at_ms"])
    op.add_column("deletion", Column("removed_at_ms", Id, nullable=True))
    op.create_table(
        "reconcile",
        Column("node", Integer, primary_key=True, autoincrement=False),
        Column("state", Text, nullable=False),
        Column("unreferenced_bytes", Id, nullable=False),
        Column("unreferenced_shards", Id, nullable=False),
        Column("began_at_ms", Id, nullable=False),
        Column("allowed", SmallInteger, nullable=False),
    )
