"""The tables of the store, once for SQLite and PostgreSQL.

Ids are signed 64-bit integers, keys are bytes (NUL, no collation), switches are 0 or 1, times are milliseconds of the
store clock. Everything of a user is keyed by account or bucket first and nothing takes a number from a global
sequence, so that it can be partitioned. Columns of one segment (a range of a blob with its wrapped key) are embedded
in the version or part that has it as its first; table `segment` holds the second and later ones. No foreign keys: the
functions of this package are the only writers, and a deferred key would fail the COMMIT of everyone who shares a
batch.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    desc,
)

# SQLite keeps a row under its integer key itself only where the type says INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")
# Names are compared byte by byte everywhere; PostgreSQL would otherwise sort by its locale.
Name = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData()


def _id(name: str, *, key: bool = False, null: bool = False) -> Column[int]:
    return Column(name, Id, primary_key=key, nullable=null, autoincrement=False)


def _small(name: str) -> Column[int]:
    return Column(name, SmallInteger, nullable=False)


def _bytes(name: str, *, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null)


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def _name(name: str, *, key: bool = False, unique: bool = False) -> Column[str]:
    return Column(name, Name, primary_key=key, nullable=False, unique=unique or None)


def _embedded_segment() -> list[Column[int] | Column[bytes]]:
    return [
        _id("seg_blob", null=True),
        _id("seg_offset", null=True),
        _id("seg_length", null=True),
        _bytes("seg_dek", null=True),
        Column("seg_key_id", Id, nullable=True),
        Column("seg_mode", SmallInteger, nullable=True),
        _bytes("seg_cid", null=True),
        Column("segment_count", Integer, nullable=False),
    ]


# One row each.
cluster = Table(
    "cluster",
    metadata,
    _id("one", key=True),
    _bytes("cluster_id"),
    _bytes("incarnation"),
    Column("format", Integer, nullable=False),
    _id("created_at_ms"),
    Column("adopted", SmallInteger, nullable=False, server_default="1"),
    _id("restored_at_ms", null=True),
    # The newest wrapping key that rows may name, and the one under which all rows were found to be.
    Column("newest_key", Id, nullable=False, server_default="1"),
    Column("settled_key", Id, nullable=False, server_default="1"),
)
store_clock = Table("store_clock", metadata, _id("one", key=True), _id("now_ms"), _id("wall_ms"))
epoch = Table("epoch", metadata, _name("name", key=True), _id("value"))

session = Table(
    "session",
    metadata,
    _id("number", key=True),
    _text("role"),
    _id("opened_at_ms"),
    _id("beat"),
    _id("closed_at_ms", null=True),
    _id("oldest_read_ms", null=True),
)

account = Table(
    "account",
    metadata,
    _id("id", key=True),
    _name("canonical_id", unique=True),
    _text("display_name"),
    _text("email"),
    _small("is_root"),
    _id("created_at_ms"),
    _id("quota_bytes", null=True),
    _id("quota_objects", null=True),
)
access_key = Table(
    "access_key",
    metadata,
    _name("access_key", key=True),
    _id("account"),
    _bytes("secret"),
    _small("enabled"),
    _id("created_at_ms"),
    _text("description"),
    Index("access_key_account", "account", "access_key"),
)

bucket = Table(
    "bucket",
    metadata,
    _id("id", key=True),
    _name("name", unique=True),
    _id("account"),
    _text("region"),
    _id("created_at_ms"),
    _small("versioning"),
    _id("revision"),
    Column("flags", Integer, nullable=False, server_default="0"),
    Index("bucket_account", "account", "name"),
)
# One row a configuration (policy, cors, lifecycle, ...), each in a format of its own with a version.
bucket_config = Table(
    "bucket_config",
    metadata,
    _id("bucket"),
    _name("name"),
    _bytes("value"),
    PrimaryKeyConstraint("bucket", "name"),
    sqlite_with_rowid=False,
)
# A full index on (bucket, live, key): a partial one was not chosen before ANALYZE, and delete markers were walked.
head = Table(
    "head",
    metadata,
    _id("bucket"),
    _bytes("key"),
    _id("version"),
    _id("null_version", null=True),
    _small("live"),
    _id("size"),
    _text("etag"),
    _id("mtime_ms"),
    _id("account"),
    _text("storage_class"),
    _small("checksum"),
    _id("next_seq"),
    PrimaryKeyConstraint("bucket", "key"),
    Index("head_live", "bucket", "live", "key"),
    sqlite_with_rowid=False,
)
version = Table(
    "version",
    metadata,
    _id("id", key=True),
    _id("bucket"),
    _bytes("key"),
    _id("seq"),
    _small("is_null"),
    _small("is_delete_marker"),
    _id("size"),
    _text("etag"),
    _id("mtime_ms"),
    _id("account"),
    _text("storage_class"),
    _small("checksum"),
    _bytes("content_cid", null=True),
    _bytes("attributes"),
    *_embedded_segment(),
)
Index("version_chain", version.c.bucket, version.c.key, desc(version.c.seq), unique=True)
Index(
    "version_content",
    version.c.account,
    version.c.content_cid,
    sqlite_where=version.c.content_cid.is_not(None),
    postgresql_where=version.c.content_cid.is_not(None),
)

segment = Table(
    "segment",
    metadata,
    _id("owner"),
    Column("n", Integer, nullable=False),
    _id("blob"),
    _id("offset"),
    _id("length"),
    _bytes("dek"),
    _id("key_id"),
    _small("mode"),
    _bytes("cid"),
    PrimaryKeyConstraint("owner", "n"),
    sqlite_with_rowid=False,
)

blob = Table(
    "blob",
    metadata,
    _id("id", key=True),
    Column("refs", Integer, nullable=False),
    _id("size"),
    _small("k"),
    _small("m"),
    _small("codec"),
    Column("chunk_count", Integer, nullable=False),
)
chunk = Table(
    "chunk",
    metadata,
    _id("blob"),
    Column("n", Integer, nullable=False),
    _bytes("root"),
    _id("placement"),
    PrimaryKeyConstraint("blob", "n"),
    Index("chunk_placement", "placement"),
    sqlite_with_rowid=False,
)
inline = Table(
    "inline",
    metadata,
    _id("blob", key=True),
    Column("refs", Integer, nullable=False),
    _bytes("body"),
)

node = Table(
    "node",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("node_id", LargeBinary, nullable=False, unique=True),
    _name("name", unique=True),
    _text("endpoint"),
    _text("host"),
    _text("disk"),
    _text("zone"),
    _text("operator"),
    _text("state"),
    _text("reason"),
    _id("total_bytes"),
    _id("used_bytes"),
    _id("free_bytes"),
    _id("shard_count"),
    _id("seen_at_ms"),
    _id("joined_at_ms"),
    Column("since_ms", Id, nullable=False, server_default="0"),
    Column("leaving", SmallInteger, nullable=False, server_default="0"),
    # Of a node on another box: where its host listens (empty: it dials), its key, and what it is trusted with.
    Column("address", Text, nullable=False, server_default=""),
    Column("region", Text, nullable=False, server_default=""),
    Column("public_key", LargeBinary, nullable=True),
    Column("standing", Text, nullable=False, server_default="trusted"),
)
placement = Table(
    "placement",
    metadata,
    _id("id", key=True),
    _small("k"),
    _small("m"),
    _bytes("nodes"),
    _small("state"),
    _id("successor", null=True),
)

repair = Table(
    "repair",
    metadata,
    _id("blob"),
    Column("chunk", Integer, nullable=False),
    _small("shard_index"),
    _text("reason"),
    _id("found_at_ms"),
    PrimaryKeyConstraint("blob", "chunk", "shard_index"),
    sqlite_with_rowid=False,
)
deletion = Table(
    "deletion",
    metadata,
    _id("blob", key=True),
    _id("due_at_ms"),
    _id("size"),
    _id("removed_at_ms", null=True),
    Index("deletion_due", "due_at_ms", "blob"),
)
# Shards that no chunk row places where they are: what the mover left behind, what a closed session never committed.
stray = Table(
    "stray",
    metadata,
    Column("node", Integer, nullable=False),
    _id("blob"),
    Column("chunk", Integer, nullable=False),
    _small("shard_index"),
    _id("due_at_ms"),
    _id("sequence", null=True),
    PrimaryKeyConstraint("node", "blob", "chunk", "shard_index"),
    Index("stray_due", "node", "due_at_ms"),
    sqlite_with_rowid=False,
)
# What the last comparison of a node's shards with the metadata found, and whether it was allowed to go on.
reconcile = Table(
    "reconcile",
    metadata,
    Column("node", Integer, primary_key=True, autoincrement=False),
    _text("state"),
    _id("unreferenced_bytes"),
    _id("unreferenced_shards"),
    _id("began_at_ms"),
    _small("allowed"),
)
delete_order = Table(
    "delete_order",
    metadata,
    Column("node", Integer, nullable=False),
    _id("sequence"),
    _id("issued_at_ms"),
    _id("expires_at_ms"),
    _bytes("body"),
    _bytes("signature"),
    _id("settled_at_ms", null=True),
    _bytes("receipt", null=True),
    _bytes("receipt_signature", null=True),
    PrimaryKeyConstraint("node", "sequence"),
)

# `listed` is 1 while an upload may still become an object: an index of its own keeps finished ones out of every
# listing.
upload = Table(
    "upload",
    metadata,
    _id("id", key=True),
    _id("bucket"),
    _bytes("key"),
    _id("account"),
    _small("state"),
    _small("listed"),
    _id("created_at_ms"),
    _id("changed_at_ms"),
    _id("holder", null=True),
    _bytes("request", null=True),
    _bytes("answer", null=True),
    _bytes("attributes"),
    Index("upload_listed", "bucket", "listed", "key", "created_at_ms", "id"),
    Index("upload_changed", "state", "changed_at_ms"),
)
part = Table(
    "part",
    metadata,
    _id("upload"),
    Column("number", Integer, nullable=False),
    _id("id"),
    _id("size"),
    _text("etag"),
    _id("mtime_ms"),
    _bytes("attributes"),
    *_embedded_segment(),
    PrimaryKeyConstraint("upload", "number"),
    sqlite_with_rowid=False,
)

usage_delta = Table(
    "usage_delta",
    metadata,
    _id("bucket"),
    _id("id"),
    _id("objects"),
    _id("bytes"),
    PrimaryKeyConstraint("bucket", "id"),
    sqlite_with_rowid=False,
)
# What happened in buckets that somebody follows, in commit order; `counter` gives a bucket's next number.
change = Table(
    "change",
    metadata,
    _id("bucket"),
    _id("seq"),
    _id("at_ms"),
    _text("event"),
    _bytes("key"),
    _id("version", null=True),
    _id("size"),
    _text("etag"),
    _bytes("details"),
    PrimaryKeyConstraint("bucket", "seq"),
    sqlite_with_rowid=False,
)
change_counter = Table("change_counter", metadata, _id("bucket", key=True), _id("next_seq"))
change_reader = Table(
    "change_reader",
    metadata,
    _id("bucket"),
    _name("reader"),
    _id("position"),
    PrimaryKeyConstraint("bucket", "reader"),
    sqlite_with_rowid=False,
)
# URLs that messages may go to. `secret`, sealed by the keyring, signs them; empty for none.
webhook = Table(
    "webhook",
    metadata,
    _name("name", key=True),
    _text("url"),
    _bytes("secret"),
    _id("created_at_ms"),
    _id("delivered"),
    _id("delivered_at_ms"),
    _id("given_up"),
    _id("given_up_at_ms"),
    _text("error"),
)
# Messages that are to reach one of them; each stays until it was taken or has grown too old. Those of one key of a
# bucket go in the order of their ids.
delivery = Table(
    "delivery",
    metadata,
    _id("id", key=True),
    _name("target"),
    _id("bucket"),
    _bytes("key"),
    _id("created_at_ms"),
    _id("due_at_ms"),
    Column("attempts", Integer, nullable=False),
    _bytes("body"),
    Index("delivery_due", "target", "due_at_ms", "id"),
    Index("delivery_order", "target", "bucket", "key", "id"),
)
# Lines of access logs that wait to be put together as an object; `bucket` is the one that the requests were for.
access_log = Table(
    "access_log",
    metadata,
    _id("bucket"),
    _id("id"),
    _id("at_ms"),
    _bytes("line"),
    PrimaryKeyConstraint("bucket", "id"),
    sqlite_with_rowid=False,
)
# Where the standing work on a bucket is (lifecycle, inventory, ...), so that it goes on after a restart.
bucket_work = Table(
    "bucket_work",
    metadata,
    _id("bucket"),
    _name("name"),
    _id("at_ms"),
    _bytes("state"),
    PrimaryKeyConstraint("bucket", "name"),
    sqlite_with_rowid=False,
)
# Named keys of SSE-KMS. `secret` is sealed by the keyring; rows of segments name the number.
kms_key = Table(
    "kms_key",
    metadata,
    _id("number", key=True),
    _name("name", unique=True),
    _text("state"),
    _id("created_at_ms"),
    _text("description"),
    _bytes("secret"),
)
usage = Table("usage", metadata, _id("bucket", key=True), _id("objects"), _id("bytes"))
