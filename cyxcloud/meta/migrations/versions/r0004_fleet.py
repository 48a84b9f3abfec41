"""A fleet of nodes on other boxes: tokens, denied keys, heartbeats, events, reputation, drains, leases."""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
)

Id = BigInteger().with_variant(Integer(), "sqlite")
Name = Text().with_variant(Text(collation="C"), "postgresql")

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("node", Column("address", Text, nullable=False, server_default=""))
    op.add_column("node", Column("region", Text, nullable=False, server_default=""))
    op.add_column("node", Column("public_key", LargeBinary, nullable=True))
    op.add_column("node", Column("standing", Text, nullable=False, server_default="trusted"))
    _profiles()
    _trust()
    _nodes()
    _work()


def _profiles() -> None:
    """A store of an earlier release has one profile, that of all its placements."""
    op.create_table(
        "profile",
        Column("storage_class", Name, nullable=False),
        Column("k", SmallInteger, nullable=False),
        Column("m", SmallInteger, nullable=False),
        PrimaryKeyConstraint("storage_class"),
    )
    op.execute(
        "INSERT INTO profile (storage_class, k, m) SELECT '', k, m FROM placement "
        "WHERE id = (SELECT max(id) FROM placement)"
    )


def _trust() -> None:
    op.create_table(
        "join_token",
        Column("token_hash", LargeBinary, nullable=False),
        Column("zone", Text, nullable=False),
        Column("operator", Text, nullable=False),
        Column("region", Text, nullable=False),
        Column("created_at_ms", Id, nullable=False),
        Column("expires_at_ms", Id, nullable=False),
        Column("used_at_ms", Id, nullable=True),
        Column("node", Integer, nullable=True),
        PrimaryKeyConstraint("token_hash"),
    )
    op.create_table(
        "denial",
        Column("subject", LargeBinary, nullable=False),
        Column("at_ms", Id, nullable=False),
        Column("reason", Text, nullable=False),
        PrimaryKeyConstraint("subject"),
    )
    op.create_table(
        "api_token",
        Column("name", Name, nullable=False),
        Column("token_hash", LargeBinary, nullable=False),
        Column("role", Text, nullable=False),
        Column("created_at_ms", Id, nullable=False),
        Column("expires_at_ms", Id, nullable=True),
        Column("used_at_ms", Id, nullable=True),
        PrimaryKeyConstraint("name"),
        UniqueConstraint("token_hash"),
    )
    op.create_table(
        "lease",
        Column("name", Name, nullable=False),
        Column("holder", Text, nullable=False),
        Column("fence", Id, nullable=False),
        Column("beat", Id, nullable=False),
        PrimaryKeyConstraint("name"),
    )


def _nodes() -> None:
    op.create_table(
        "heartbeat",
        Column("node", Integer, nullable=False),
        Column("sequence", Id, nullable=False),
        Column("at_ms", Id, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("signature", LargeBinary, nullable=False),
        PrimaryKeyConstraint("node"),
    )
    op.create_table(
        "node_event",
        Column("node", Integer, nullable=False),
        Column("seq", Id, nullable=False),
        Column("at_ms", Id, nullable=False),
        Column("kind", Text, nullable=False),
        Column("detail", Text, nullable=False),
        Column("evidence", LargeBinary, nullable=True),
        PrimaryKeyConstraint("node", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node_score",
        Column("node", Integer, nullable=False),
        Column("alpha", Id, nullable=False),
        Column("beta", Id, nullable=False),
        Column("audits", Id, nullable=False),
        Column("failed", Id, nullable=False),
        Column("late", Id, nullable=False),
        Column("vetted_at_ms", Id, nullable=True),
        PrimaryKeyConstraint("node"),
    )


def _work() -> None:
    op.create_table(
        "contained",
        Column("node", Integer, nullable=False),
        Column("blob", Id, nullable=False),
        Column("chunk", Integer, nullable=False),
        Column("shard_index", SmallInteger, nullable=False),
        Column("block", Integer, nullable=False),
        Column("first_asked_ms", Id, nullable=False),
        Column("due_at_ms", Id, nullable=False),
        Column("tries", Integer, nullable=False),
        PrimaryKeyConstraint("node", "blob", "chunk", "shard_index"),
        sqlite_with_rowid=False,
    )
    op.create_index("contained_due", "contained", ["due_at_ms"])
    op.create_table(
        "drain",
        Column("node", Integer, nullable=False),
        Column("state", Text, nullable=False),
        Column("begun_at_ms", Id, nullable=False),
        Column("ended_at_ms", Id, nullable=True),
        Column("shards", Id, nullable=False),
        Column("bytes", Id, nullable=False),
        Column("shards_moved", Id, nullable=False),
        Column("bytes_moved", Id, nullable=False),
        Column("receipt", LargeBinary, nullable=True),
        Column("signature", LargeBinary, nullable=True),
        PrimaryKeyConstraint("node"),
    )
