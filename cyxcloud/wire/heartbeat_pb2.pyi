# mypy: ignore-errors
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Heartbeat(_message.Message):
    __slots__ = ("node_id", "timestamp", "signature", "total_storage_bytes", "used_storage_bytes", "available_bandwidth_bps", "avg_latency_ms", "requests_per_minute", "cpu_usage_percent", "memory_usage_percent", "shard_count", "failed_requests", "peer_ids", "sequence", "version", "protocol_min", "protocol_max", "state", "reserve_bytes", "free_bytes", "reason")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_STORAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_STORAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_BANDWIDTH_BPS_FIELD_NUMBER: _ClassVar[int]
    AVG_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    CPU_USAGE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USAGE_PERCENT_FIELD_NUMBER: _ClassVar[int]
    SHARD_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    PEER_IDS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MAX_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RESERVE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    timestamp: int
    signature: bytes
    total_storage_bytes: int
    used_storage_bytes: int
    available_bandwidth_bps: int
    avg_latency_ms: float
    requests_per_minute: int
    cpu_usage_percent: float
    memory_usage_percent: float
    shard_count: int
    failed_requests: int
    peer_ids: _containers.RepeatedScalarFieldContainer[bytes]
    sequence: int
    version: str
    protocol_min: int
    protocol_max: int
    state: int
    reserve_bytes: int
    free_bytes: int
    reason: str
    def __init__(self, node_id: _Optional[bytes] = ..., timestamp: _Optional[int] = ..., signature: _Optional[bytes] = ..., total_storage_bytes: _Optional[int] = ..., used_storage_bytes: _Optional[int] = ..., available_bandwidth_bps: _Optional[int] = ..., avg_latency_ms: _Optional[float] = ..., requests_per_minute: _Optional[int] = ..., cpu_usage_percent: _Optional[float] = ..., memory_usage_percent: _Optional[float] = ..., shard_count: _Optional[int] = ..., failed_requests: _Optional[int] = ..., peer_ids: _Optional[_Iterable[bytes]] = ..., sequence: _Optional[int] = ..., version: _Optional[str] = ..., protocol_min: _Optional[int] = ..., protocol_max: _Optional[int] = ..., state: _Optional[int] = ..., reserve_bytes: _Optional[int] = ..., free_bytes: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class HeartbeatAnswer(_message.Message):
    __slots__ = ("outcome", "server_time", "interval_ms", "wanted_version", "least_version", "least_version_from", "denied_epoch", "dial_addresses", "renew", "last_sequence")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    WANTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    LEAST_VERSION_FIELD_NUMBER: _ClassVar[int]
    LEAST_VERSION_FROM_FIELD_NUMBER: _ClassVar[int]
    DENIED_EPOCH_FIELD_NUMBER: _ClassVar[int]
    DIAL_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    RENEW_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    outcome: int
    server_time: int
    interval_ms: int
    wanted_version: str
    least_version: str
    least_version_from: int
    denied_epoch: int
    dial_addresses: _containers.RepeatedScalarFieldContainer[str]
    renew: bool
    last_sequence: int
    def __init__(self, outcome: _Optional[int] = ..., server_time: _Optional[int] = ..., interval_ms: _Optional[int] = ..., wanted_version: _Optional[str] = ..., least_version: _Optional[str] = ..., least_version_from: _Optional[int] = ..., denied_epoch: _Optional[int] = ..., dial_addresses: _Optional[_Iterable[str]] = ..., renew: _Optional[bool] = ..., last_sequence: _Optional[int] = ...) -> None: ...
