"""The first schema."""

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
    text,
)

revision = "0001"
down_revision = None

Id = BigInteger().with_variant(Integer(), "sqlite")
Name = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "cluster",
        Column("one", Id, nullable=False),
        Column("cluster_id", LargeBinary, nullable=False),
        Column("incarnation", LargeBinary, nullable=False),
        Column("format", Integer, nullable=False),
        Column("created_at_ms", Id, nullable=False),
        PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "store_clock",
        Column("one", Id, nullable=False),
        Column("now_ms", Id, nullable=False),
        Column("wall_ms", Id, nullable=False),
        PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "epoch",
        Column("name", Name, nullable=False),
        Column("value", Id, nullable=False),
        PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "session",
        Column("number", Id, nullable=False),
        Column("role", Text, nullable=False),
        Column("opened_at_ms", Id, nullable=False),
        Column("beat", Id, nullable=False),
        Column("closed_at_ms", Id, nullable=True),
        PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "account",
        Column("id", Id, nullable=False),
        Column("canonical_id", Name, nullable=False),
        Column("display_name", Text, nullable=False),
        Column("email", Text, nullable=False),
        Column("is_root", SmallInteger, nullable=False),
        Column("created_at_ms", Id, nullable=False),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("canonical_id"),
    )
    op.create_table(
        "access_key",
        Column("access_key", Name, nullable=False),
        Column("account", Id, nullable=False),
        Column("secret", LargeBinary, nullable=False),
        Column("enabled", SmallInteger, nullable=False),
        Column("created_at_ms", Id, nullable=False),
        Column("description", Text, nullable=False),
        PrimaryKeyConstraint("access_key"),
    )
    op.create_index("access_key_account", "access_key", ["account", "access_key"])
    op.create_table(
        "bucket",
        Column("id", Id, nullable=False),
        Column("name", Name, nullable=False),
        Column("account", Id, nullable=False),
        Column("region", Text, nullable=False),
        Column("created_at_ms", Id, nullable=False),
        Column("versioning", SmallInteger, nullable=False),
        Column("revision", Id, nullable=False),
        Column("settings", Text, nullable=False),
        PrimaryKeyConstraint("id"),
        UniqueConstraint("name"),
    )
    op.create_index("bucket_account", "bucket", ["account", "name"])
    op.create_table(
        "head",
        Column("bucket", Id, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("version", Id, nullable=False),
        Column("null_version", Id, nullable=True),
        Column("live", SmallInteger, nullable=False),
        Column("size", Id, nullable=False),
        Column("etag", Text, nullable=False),
        Column("mtime_ms", Id, nullable=False),
        Column("account", Id, nullable=False),
        Column("storage_class", Text, nullable=False),
        Column("checksum", SmallInteger, nullable=False),
        Column("next_seq", Id, nullable=False),
        PrimaryKeyConstraint("bucket", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("head_live", "head", ["bucket", "live", "key"])
    op.create_table(
        "version",
        Column("id", Id, nullable=False),
        Column("bucket", Id, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("seq", Id, nullable=False),
        Column("is_null", SmallInteger, nullable=False),
        Column("is_delete_marker", SmallInteger, nullable=False),
        Column("size", Id, nullable=False),
        Column("etag", Text, nullable=False),
        Column("mtime_ms", Id, nullable=False),
        Column("account", Id, nullable=False),
        Column("storage_class", Text, nullable=False),
        Column("checksum", SmallInteger, nullable=False),
        Column("content_cid", LargeBinary, nullable=True),
        Column("attributes", LargeBinary, nullable=False),
        Column("seg_blob", Id, nullable=True),
        Column("seg_offset", Id, nullable=True),
        Column("seg_length", Id, nullable=True),
        Column("seg_dek", LargeBinary, nullable=True),
        Column("seg_key_id", Id, nullable=True),
        Column("seg_mode", SmallInteger, nullable=True),
        Column("seg_cid", LargeBinary, nullable=True),
        Column("segment_count", Integer, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("version_chain", "version", ["bucket", "key", text("seq DESC")], unique=True)
    op.create_index(
        "version_content",
        "version",
        ["account", "content_cid"],
        sqlite_where=text("content_cid IS NOT NULL"),
        postgresql_where=text("content_cid IS NOT NULL"),
    )
    op.create_table(
        "segment",
        Column("owner", Id, nullable=False),
        Column("n", Integer, nullable=False),
        Column("blob", Id, nullable=False),
        Column("offset", Id, nullable=False),
        Column("length", Id, nullable=False),
        Column("dek", LargeBinary, nullable=False),
        Column("key_id", Id, nullable=False),
        Column("mode", SmallInteger, nullable=False),
        Column("cid", LargeBinary, nullable=False),
        PrimaryKeyConstraint("owner", "n"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "blob",
        Column("id", Id, nullable=False),
        Column("refs", Integer, nullable=False),
        Column("size", Id, nullable=False),
        Column("k", SmallInteger, nullable=False),
        Column("m", SmallInteger, nullable=False),
        Column("codec", SmallInteger, nullable=False),
        Column("chunk_count", Integer, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "chunk",
        Column("blob", Id, nullable=False),
        Column("n", Integer, nullable=False),
        Column("root", LargeBinary, nullable=False),
        Column("placement", Id, nullable=False),
        PrimaryKeyConstraint("blob", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index("chunk_placement", "chunk", ["placement"])
    op.create_table(
        "inline",
        Column("blob", Id, nullable=False),
        Column("refs", Integer, nullable=False),
        Column("body", LargeBinary, nullable=False),
        PrimaryKeyConstraint("blob"),
    )
    op.create_table(
        "node",
        Column("number", Integer, nullable=False),
        Column("node_id", LargeBinary, nullable=False),
        Column("name", Name, nullable=False),
        Column("endpoint", Text, nullable=False),
        Column("host", Text, nullable=False),
        Column("disk", Text, nullable=False),
        Column("zone", Text, nullable=False),
        Column("operator", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("total_bytes", Id, nullable=False),
        Column("used_bytes", Id, nullable=False),
        Column("free_bytes", Id, nullable=False),
        Column("shard_count", Id, nullable=False),
        Column("seen_at_ms", Id, nullable=False),
        Column("joined_at_ms", Id, nullable=False),
        PrimaryKeyConstraint("number"),
        UniqueConstraint("node_id"),
        UniqueConstraint("name"),
    )
    op.create_table(
        "placement",
        Column("id", Id, nullable=False),
        Column("k", SmallInteger, nullable=False),
        Column("m", SmallInteger, nullable=False),
        Column("nodes", LargeBinary, nullable=False),
        Column("state", SmallInteger, nullable=False),
        Column("successor", Id, nullable=True),
        PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "repair",
        Column("blob", Id, nullable=False),
        Column("chunk", Integer, nullable=False),
        Column("shard_index", SmallInteger, nullable=False),
        Column("reason", Text, nullable=False),
        Column("found_at_ms", Id, nullable=False),
        PrimaryKeyConstraint("blob", "chunk", "shard_index"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deletion",
        Column("blob", Id, nullable=False),
        Column("due_at_ms", Id, nullable=False),
        Column("size", Id, nullable=False),
        PrimaryKeyConstraint("blob"),
    )
    op.create_index("deletion_due", "deletion", ["due_at_ms", "blob"])
    op.create_table(
        "delete_order",
        Column("node", Integer, nullable=False),
        Column("sequence", Id, nullable=False),
        Column("issued_at_ms", Id, nullable=False),
        Column("expires_at_ms", Id, nullable=False),
        Column("body", LargeBinary, nullable=False),
        Column("signature", LargeBinary, nullable=False),
        Column("settled_at_ms", Id, nullable=True),
        Column("receipt", LargeBinary, nullable=True),
        Column("receipt_signature", LargeBinary, nullable=True),
        PrimaryKeyConstraint("node", "sequence"),
    )
    op.create_table(
        "upload",
        Column("id", Id, nullable=False),
        Column("bucket", Id, nullable=False),
        Column("key", LargeBinary, nullable=False),
        Column("account", Id, nullable=False),
        Column("state", SmallInteger, nullable=False),
        Column("listed", SmallInteger, nullable=False),
        Column("created_at_ms", Id, nullable=False),
        Column("changed_at_ms", Id, nullable=False),
        Column("holder", Id, nullable=True),
        Column("request", LargeBinary, nullable=True),
        Column("answer", LargeBinary, nullable=True),
        Column("attributes", LargeBinary, nullable=False),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("upload_changed", "upload", ["state", "changed_at_ms"])
    op.create_index("upload_listed", "upload", ["bucket", "listed", "key", "created_at_ms", "id"])
    op.create_table(
        "part",
        Column("upload", Id, nullable=False),
        Column("number", Integer, nullable=False),
        Column("id", Id, nullable=False),
        Column("size", Id, nullable=False),
        Column("etag", Text, nullable=False),
        Column("mtime_ms", Id, nullable=False),
        Column("attributes", LargeBinary, nullable=False),
        Column("seg_blob", Id, nullable=True),
        Column("seg_offset", Id, nullable=True),
        Column("seg_length", Id, nullable=True),
        Column("seg_dek", LargeBinary, nullable=True),
        Column("seg_key_id", Id, nullable=True),
        Column("seg_mode", SmallInteger, nullable=True),
        Column("seg_cid", LargeBinary, nullable=True),
        Column("segment_count", Integer, nullable=False),
        PrimaryKeyConstraint("upload", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_delta",
        Column("bucket", Id, nullable=False),
        Column("id", Id, nullable=False),
        Column("objects", Id, nullable=False),
        Column("bytes", Id, nullable=False),
        PrimaryKeyConstraint("bucket", "id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage",
        Column("bucket", Id, nullable=False),
        Column("objects", Id, nullable=False),
        Column("bytes", Id, nullable=False),
        PrimaryKeyConstraint("bucket"),
    )
