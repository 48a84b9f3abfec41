"""What the coordinator is told at its start: a value that the supervisor hands over, never the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cyxcloud.core.settings import (
    AccessLogSettings,
    FleetSettings,
    InventorySettings,
    LifecycleSettings,
    MoverSettings,
    NotificationSettings,
    ReconcileSettings,
    SnapshotSettings,
)


@dataclass(frozen=True, slots=True)
class CoordinatorSpec:
    """`control` is the operators' listener, HOST:PORT; `control_socket` serves this box's commands and supervisor."""

    home: Path
    data_dirs: tuple[Path, ...]
    control: str
    control_socket: Path
    node_sockets: tuple[Path, ...]
    delete_grace_seconds: float = 86400.0
    region: str = "us-east-1"
    mover: MoverSettings = field(default_factory=MoverSettings)
    snapshot: SnapshotSettings = field(default_factory=SnapshotSettings)
    reconcile: ReconcileSettings = field(default_factory=ReconcileSettings)
    lifecycle: LifecycleSettings = field(default_factory=LifecycleSettings)
    access_log: AccessLogSettings = field(default_factory=AccessLogSettings)
    notifications: NotificationSettings = field(default_factory=NotificationSettings)
    inventory: InventorySettings = field(default_factory=InventorySettings)
    fleet: FleetSettings = field(default_factory=FleetSettings)
    dial_in: tuple[str, ...] = ()
    """HOST:PORT where nodes that cannot be dialled reach the coordinator, and where its mover."""
    dial_addresses: tuple[str, ...] = ()
    """What those nodes are told: of each process that uses nodes, where it is dialled."""
