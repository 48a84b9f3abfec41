"""Configurations of buckets, followed changes, deliveries, access logs, standing work, named keys, quotas."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, PrimaryKeyConstraint, Text, UniqueConstraint

Id = BigInteger().with_variant(Integer(), "sqlite")
Name = Text().with_variant(Text(collation="C"), "postgresql")

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("bucket", "settings")
    op.add_column("bucket", Column("flags", Integer, nullable=False, server_default="0"))
    op.add_column("account", Column("quota_bytes", Id, nullable=True))
    op.add_column("account", Column("quota_objects", Id, nullable=True))
    op.create_table(
        "bucket_config",
        Column("bucket", Id, nullable=False),
        Column("name", Name, nullable=False),
        Column("value", LargeBinary, nullable=False),
        PrimaryKeyConstraint("bucket", "name"),
        sqlite_with_rowid=False,
    )
    _changes()
    op.create_table(
        "access_log",
        Column("bucket", Id, nullable=False),
        Column("id", Id, nullable=False),
        Column("at_ms", Id, nullable=False),
        Column("line", LargeBinary, nullable=False),
        PrimaryKeyConstraint("bucket", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bucket_work",
        Column("bucket", Id, nullable=False),
        Column("name", Name, nullable=False),
        Column("at_ms", Id, nullable=False),
        Column("state", LargeBinary, nullable=False),
        PrimaryKeyConstraint("bucket", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "kms_key",
        Column("number", Id, nullable=False),
        Column("name", Name, nullable=False),
        Column("state", Text, nullable=False),
        Column("created_at_ms", Id, nullable=False),
        Column("description", Text, nullable=False),
        Column("secret", LargeBinary, nullable=False),
        PrimaryKeyConstraint("number"),
        UniqueConstraint("name"),
    )


def _changes() -> None:
    op.create_table(
        "change",
        Column("bucket", Id, nullable=False),
        Column("seq", Id, nullable=False),
        Column("at_ms", Id, nullable=False),
        Column("event", Text, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("version", Id, nullable=True),
        Column("size", Id, nullable=False),
        Column("etag", Text, nullable=False),
        Column("details", LargeBinary, nullable=False),
        PrimaryKeyConstraint("bucket", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "change_counter",
        Column("bucket", Id, nullable=False),
        Column("next_seq", Id, nullable=False),
        PrimaryKeyConstraint("bucket"),
    )
    op.create_table(
        "change_reader",
        Column("bucket", Id, nullable=False),
        Column("reader", Name, nullable=False),
        Column("position", Id, nullable=False),
        PrimaryKeyConstraint("bucket", "reader"),
        sqlite_with_rowid=False,
    )
    _deliveries()


def _deliveries() -> None:
    op.create_table(
        "webhook",
        Column("name", Name, nullable=False),
        Column("url", Text, nullable=False),
        Column("secret", LargeBinary, nullable=False),
        Column("created_at_ms", Id, nullable=False),
        Column("delivered", Id, nullable=False),
        Column("delivered_at_ms", Id, nullable=False),
        Column("given_up", Id, nullable=False),
        Column("given_up_at_ms", Id, nullable=False),
        Column("error", Text, nullable=False),
        PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "delivery",
        Column("id", Id, nullable=False),
        Column("target", Name, nullable=False),
        Column("bucket", Id, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("created_at_ms", Id, nullable=False),
        Column("due_at_ms", Id, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("body", LargeBinary, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("delivery_due", "delivery", ["target", "due_at_ms", "id"])
    op.create_index("delivery_order", "delivery", ["target", "bucket", "key", "id"])
