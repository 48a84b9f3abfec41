"""Nodes as placement sees them (pure): what goes down together, how much each may take.

A node of this box has no subnet, operator or zone: its host and its disk are what it shares. Of a node on another box
the subnet is that of its address as the fleet sees it, so that a provider's many nodes behind one line are one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import MappingProxyType

from cyxcloud.core.ids import NodeNumber
from cyxcloud.meta.rows import DISQUALIFIED, GONE, SUSPENDED, UP, VETTING, NodeRow
from fleet.placement.weights import is_full, usual_free_bytes, weight

# Addresses that one provider gets as one: the last byte of IPv4, a site's half of IPv6.
IPV4_PREFIX, IPV6_PREFIX = 24, 64
UNKNOWN: Mapping[NodeNumber, float] = MappingProxyType({})
_SHUT_OUT = frozenset({SUSPENDED, DISQUALIFIED})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A domain that is empty is shared with nobody. `available`: writes may go there now. `weight`: how often, against
    other nodes. `vetting`: too new to be trusted with much."""

    number: NodeNumber
    disk: str
    available: bool
    host: str = ""
    subnet: str = ""
    operator: str = ""
    zone: str = ""
    weight: float = 1.0
    vetting: bool = False


def pool_candidates(rows: Sequence[NodeRow], reputation: Mapping[NodeNumber, float] = UNKNOWN) -> list[Candidate]:
    """Nodes as the pool sees them; those that are to be emptied, are full or not trusted any more take nothing."""
    living = [row for row in rows if row.state != GONE]
    usual = usual_free_bytes(living)
    return [_candidate(row, usual, reputation.get(row.number, 1.0)) for row in living]


def subnet_of(address: str) -> str:
    """The network that HOST:PORT stands in; empty for a name, or where there is none."""
    host, _, _ = address.rpartition(":")
    try:
        found = ip_address(host.strip("[]"))
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    prefix = IPV4_PREFIX if isinstance(found, IPv4Address) else IPV6_PREFIX
    return str(ip_network((found, prefix), strict=False))


def _candidate(row: NodeRow, usual_bytes: float, reputation: float) -> Candidate:
    available = row.state == UP and not row.leaving and row.standing not in _SHUT_OUT
    if not row.is_remote:
        return Candidate(row.number, row.disk, available, host=row.host)
    return Candidate(
        row.number,
        row.disk,
        available and not is_full(row),
        host=row.host,
        subnet=subnet_of(row.address),
        operator=row.operator,
        zone=row.zone,
        weight=weight(row, usual_bytes, reputation),
        vetting=row.standing == VETTING,
    )
