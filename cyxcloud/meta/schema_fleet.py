"""The tables of a fleet of nodes on other boxes, beside those of schema.py and by the same rules."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, SmallInteger, Table, Text

from cyxcloud.meta.schema import Id, Name, metadata

# The profile of a storage class; the empty name is the store's own, for all classes without one.
profile = Table(
    "profile",
    metadata,
    Column("storage_class", Name, primary_key=True),
    Column("k", SmallInteger, nullable=False),
    Column("m", SmallInteger, nullable=False),
)
# One-time tokens by which nodes join; the secret itself is kept nowhere.
join_token = Table(
    "join_token",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("zone", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("created_at_ms", Id, nullable=False),
    Column("expires_at_ms", Id, nullable=False),
    Column("used_at_ms", Id, nullable=True),
    Column("node", Integer, nullable=True),
)
# Keys, by the SHA-256 that is also a node's id, whose certificates are refused although they have not expired.
denial = Table(
    "denial",
    metadata,
    Column("subject", LargeBinary, primary_key=True),
    Column("at_ms", Id, nullable=False),
    Column("reason", Text, nullable=False),
)
# The last heartbeat that was written down: an older sequence is a replay, also after a restart.
heartbeat = Table(
    "heartbeat",
    metadata,
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("sequence", Id, nullable=False),
    Column("at_ms", Id, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)
# What happened to a node and why; `evidence` is whatever was signed, or what an audit can be run again from.
node_event = Table(
    "node_event",
    metadata,
    Column("node", Integer, nullable=False),
    Column("seq", Id, nullable=False),
    Column("at_ms", Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("evidence", LargeBinary, nullable=True),
    PrimaryKeyConstraint("node", "seq"),
    sqlite_with_rowid=False,
)
# Reputation: the beta distribution's two numbers in millionths, and what they were made of.
node_score = Table(
    "node_score",
    metadata,
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("alpha", Id, nullable=False),
    Column("beta", Id, nullable=False),
    Column("audits", Id, nullable=False),
    Column("failed", Id, nullable=False),
    Column("late", Id, nullable=False),
    Column("vetted_at_ms", Id, nullable=True),
)
# Audits that were not answered in time: asked again before they count.
contained = Table(
    "contained",
    metadata,
    Column("node", Integer, nullable=False),
    Column("blob", Id, nullable=False),
    Column("chunk", Integer, nullable=False),
    Column("shard_index", SmallInteger, nullable=False),
    Column("block", Integer, nullable=False),
    Column("first_asked_ms", Id, nullable=False),
    Column("due_at_ms", Id, nullable=False),
    Column("tries", Integer, nullable=False),
    PrimaryKeyConstraint("node", "blob", "chunk", "shard_index"),
    Index("contained_due", "due_at_ms"),
    sqlite_with_rowid=False,
)
# Nodes that are emptied, or were: progress, and at the end the receipt that the coordinator signed.
drain = Table(
    "drain",
    metadata,
    Column("node", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("begun_at_ms", Id, nullable=False),
    Column("ended_at_ms", Id, nullable=True),
    Column("shards", Id, nullable=False),
    Column("bytes", Id, nullable=False),
    Column("shards_moved", Id, nullable=False),
    Column("bytes_moved", Id, nullable=False),
    Column("receipt", LargeBinary, nullable=True),
    Column("signature", LargeBinary, nullable=True),
)
# Who does what alone: the coordinator itself, a share of the mover's work. `fence` rises with each new holder.
lease = Table(
    "lease",
    metadata,
    Column("name", Name, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("fence", Id, nullable=False),
    Column("beat", Id, nullable=False),
)
# Operators' tokens for the fleet's API; the secret itself is kept nowhere.
api_token = Table(
    "api_token",
    metadata,
    Column("name", Name, primary_key=True),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    Column("created_at_ms", Id, nullable=False),
    Column("expires_at_ms", Id, nullable=True),
    Column("used_at_ms", Id, nullable=True),
)
