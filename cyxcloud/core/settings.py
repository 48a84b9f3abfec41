"""The groups of settings, and the kinds of values that settings have (pure): config.py reads them.

A server's spec carries the groups it needs to its process, so that nothing but config.py reads the environment.
"""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import NoDecode

MAX_SHARDS = 32  # the erasure code's limit on k + m
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def check_address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("must be HOST:PORT, for example 127.0.0.1:9000 or [::1]:9000")
    return value


def _profile(value: str) -> str:
    k, plus, m = value.partition("+")
    if not plus or not k.isdecimal() or not m.isdecimal():
        raise ValueError("must be DATA+PARITY, for example 10+4")
    if int(k) < 1 or int(m) < 1 or int(k) + int(m) > MAX_SHARDS:
        raise ValueError(f"needs at least one data and one parity shard and at most {MAX_SHARDS} together")
    return value


def _upper(value: dict[str, str]) -> dict[str, str]:
    return {name.upper(): each for name, each in value.items()}


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        try:
            ip_network(each, strict=False)
        except ValueError:
            raise ValueError(f"{each!r} is no network; write one as 10.0.0.0/8 or fd00::/8") from None
    return value


def _address_or_none(value: str) -> str:
    return check_address(value) if value else value


def _version(value: str) -> str:
    if value and not all(part.isdecimal() for part in value.split(".")):
        raise ValueError("must be numbers with points between them, for example 1.4.0")
    return value


def _date(value: str) -> str:
    if value:
        try:
            datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise ValueError("must be a date like 2027-01-31") from None
    return value


Address = Annotated[str, AfterValidator(check_address)]


def _list(value: object) -> object:
    """A list is written with commas where there is only text (environment, command line)."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _seconds(value: object) -> object:
    """A time is written as seconds, or with a unit: 90, 10m, 24h, 30d."""
    if not isinstance(value, str):
        return value
    number, unit = (value[:-1], value[-1:]) if value[-1:] in _UNIT_SECONDS else (value, "s")
    try:
        return float(number) * _UNIT_SECONDS[unit]
    except ValueError:
        raise ValueError("must be seconds or a number with s, m, h or d, for example 90, 10m, 24h") from None


Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]  # seconds
Names = Annotated[tuple[str, ...], BeforeValidator(_list), NoDecode]
Networks = Annotated[Names, AfterValidator(_networks)]
Profile = Annotated[str, AfterValidator(_profile)]
# By storage class; the environment gives its names in small letters.
Classes = Annotated[dict[str, Profile], AfterValidator(_upper)]


class TlsSettings(BaseModel):
    """Both files or none: with them the S3 port speaks HTTPS only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cert: Path | None = Field(default=None, description="Certificate chain in PEM for the S3 port.")
    key: Path | None = Field(default=None, description="Private key in PEM of that certificate.")

    @model_validator(mode="after")
    def _both(self) -> TlsSettings:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together; give both or neither")
        return self


class LogSettings(BaseModel):
    """What DIR/logs holds. Warnings and errors also go to the terminal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is written."
    )
    json_lines: bool = Field(default=False, description="One JSON object a line instead of text for people.")


class MoverSettings(BaseModel):
    """When shards that cannot be reached are made anew elsewhere, and how fast."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="False: nothing is repaired and nothing moves.")
    away: Duration = Field(default=900.0, description="A node counts as unreachable when it was gone for so long.")
    grace: Duration = Field(
        default=14400.0,
        description="Wait before a chunk that lacks one shard is repaired; two: a quarter of it; more: none.",
    )
    breaker: Duration = Field(
        default=3600.0, description="Wait where many nodes went together: they are likely to come back together."
    )
    mib_per_second: float = Field(default=64.0, gt=0, description="Plaintext of chunks rebuilt a second, at most.")
    lease: Duration = Field(
        default=20.0, gt=0, description="Another mover takes over the work of one that showed no life for so long."
    )
    node_mib_per_second: float = Field(
        default=32.0, gt=0, description="Shards that movement puts on one node a second, at most; the same for reading."
    )
    rebalance: bool = Field(
        default=True, description="Nodes that are much emptier than others get some of what those hold."
    )
    rebalance_per_day: float = Field(
        default=0.05,
        gt=0,
        description="Share of what is stored that rebalancing moves a day, at most (64 GiB at least).",
    )
    rebalance_least_mib: float = Field(
        default=1024.0, ge=0, description="Nodes that are off by less than this are even enough."
    )


class SnapshotSettings(BaseModel):
    """Encrypted copies of the metadata on the nodes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    interval: Duration = Field(default=600.0, gt=0, description="How often the metadata's changes go to the nodes.")


class ScrubSettings(BaseModel):
    """Reading everything again, to find what has decayed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    interval: Duration = Field(default=30 * 86400.0, gt=0, description="Every record is read again within this time.")


class ReconcileSettings(BaseModel):
    """Looking through the nodes for shards that nothing refers to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    interval: Duration = Field(default=86400.0, gt=0, description="How often every node's shards are compared.")


class LifecycleSettings(BaseModel):
    """Expiring and moving objects by their buckets' lifecycle rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: Duration = Field(default=86400.0, gt=0, description="How long a day of a rule is; shorter only for tests.")


class AccessLogSettings(BaseModel):
    """Access logs that are delivered to buckets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    interval: Duration = Field(default=300.0, gt=0, description="How often the lines of a bucket become an object.")
    required: bool = Field(
        default=False,
        description="Objects of a bucket whose log could not be delivered are not served until it can be.",
    )


class NotificationSettings(BaseModel):
    """Messages to webhooks about what happens in buckets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow: Networks = Field(
        default=(), description="Networks (CIDR) that webhooks may lie in beside the public internet, like 10.0.0.0/8."
    )
    timeout: Duration = Field(default=10.0, gt=0, description="How long a webhook may take to answer.")
    give_up: Duration = Field(default=86400.0, gt=0, description="A message that is not taken for so long is dropped.")
    keep: Duration = Field(
        default=7 * 86400.0, gt=0, description="How long a bucket's changes wait for those who follow it, at most."
    )


class InventorySettings(BaseModel):
    """Reports of what buckets hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: Duration = Field(default=86400.0, gt=0, description="How long a day of a schedule is; shorter only for tests.")


class AuditSettings(BaseModel):
    """How often nodes of other boxes have to prove that they hold what they should."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_day: float = Field(default=24.0, gt=0, description="Audits of a node a day; four times as many until vetted.")
    answer_within: Duration = Field(default=60.0, gt=0, description="Later than this an answer is late.")
    again_after: Duration = Field(default=6 * 3600.0, description="When a late answer is asked for again.")
    tries: int = Field(default=3, ge=1, description="After so many late answers in a row the audit counts as failed.")
    vetting_audits: int = Field(default=100, ge=0, description="Audits that a new node passes before it is trusted.")
    vetting_time: Duration = Field(default=7 * 86400.0, description="The least time before a new node is trusted.")


class FleetSettings(BaseModel):
    """Nodes on other boxes: where they come in, and what is made of their silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: Annotated[str, AfterValidator(_address_or_none)] = Field(
        default="",
        description="HOST:PORT where nodes join and report; empty: this store takes no nodes of other boxes.",
    )
    address: Annotated[str, AfterValidator(_address_or_none)] = Field(
        default="",
        description="HOST:PORT by which nodes reach `listen`; empty: as it stands there, or this box's name.",
    )
    dial_in: Annotated[str, AfterValidator(_address_or_none)] = Field(
        default="",
        description="HOST:PORT where nodes that cannot be dialled reach the coordinator; its mover listens at the next "
        "port, the gateways at those after it. Empty: such nodes hold nothing.",
    )
    offline_after: Duration = Field(default=300.0, gt=0, description="A node that was silent for so long is down.")
    warning_after: Duration = Field(
        default_factory=lambda given: min(60.0, given["offline_after"] / 5),
        gt=0,
        description="A node silent for so long takes no writes; 60s, or a fifth of a shorter offline_after.",
    )
    heartbeat: Duration = Field(
        default_factory=lambda given: min(30.0, given["warning_after"] / 2),
        gt=0,
        description="How often a node reports; the nodes are told. 30s, or half of a shorter warning_after.",
    )
    clock_skew: Duration = Field(
        default=300.0, gt=0, description="A report whose time is further off than this is refused; the node is told."
    )
    certificate_lifetime: Duration = Field(
        default=7 * 86400.0, gt=0, description="How long a certificate is good; each is renewed well before that."
    )
    token_lifetime: Duration = Field(default=86400.0, gt=0, description="How long a join token can be used.")
    audit: AuditSettings = Field(default=AuditSettings(), description="Audits.")
    vetting: bool = Field(
        default=True,
        description="Nodes beyond the first that hold a chunk are tried with few shards before all others.",
    )
    least_version: Annotated[str, AfterValidator(_version)] = Field(
        default="", description="Nodes of older software take no new writes; empty: any that speaks the protocol."
    )
    least_version_from: Annotated[str, AfterValidator(_date)] = Field(
        default="", description="Until that date (UTC) nodes older than `least_version` are only warned."
    )

    @model_validator(mode="after")
    def _in_order(self) -> FleetSettings:
        if not self.heartbeat < self.warning_after < self.offline_after:
            raise ValueError("heartbeat, warning_after and offline_after must grow in this order")
        return self
