# mypy: ignore-errors
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Envelope(_message.Message):
    __slots__ = ("request_id", "deadline_ms", "payload_bytes", "hello", "put", "put_result", "get", "get_result", "exists", "exists_result", "delete", "delete_result", "list", "list_result", "verify", "verify_result", "stats", "stats_result", "error", "locate", "locate_result", "open_node", "open_result", "findings", "findings_result", "put_pointer", "get_pointer", "pointer_result", "scrub", "scrub_result")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    PUT_FIELD_NUMBER: _ClassVar[int]
    PUT_RESULT_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    GET_RESULT_FIELD_NUMBER: _ClassVar[int]
    EXISTS_FIELD_NUMBER: _ClassVar[int]
    EXISTS_RESULT_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    DELETE_RESULT_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    LIST_RESULT_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    VERIFY_RESULT_FIELD_NUMBER: _ClassVar[int]
    STATS_FIELD_NUMBER: _ClassVar[int]
    STATS_RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LOCATE_FIELD_NUMBER: _ClassVar[int]
    LOCATE_RESULT_FIELD_NUMBER: _ClassVar[int]
    OPEN_NODE_FIELD_NUMBER: _ClassVar[int]
    OPEN_RESULT_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_RESULT_FIELD_NUMBER: _ClassVar[int]
    PUT_POINTER_FIELD_NUMBER: _ClassVar[int]
    GET_POINTER_FIELD_NUMBER: _ClassVar[int]
    POINTER_RESULT_FIELD_NUMBER: _ClassVar[int]
    SCRUB_FIELD_NUMBER: _ClassVar[int]
    SCRUB_RESULT_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    deadline_ms: int
    payload_bytes: int
    hello: Hello
    put: PutShards
    put_result: PutResult
    get: GetShards
    get_result: GetResult
    exists: Exists
    exists_result: ExistsResult
    delete: DeleteOrder
    delete_result: DeleteResult
    list: List
    list_result: ListResult
    verify: Verify
    verify_result: VerifyResult
    stats: Stats
    stats_result: StatsResult
    error: Error
    locate: LocateShards
    locate_result: LocateResult
    open_node: OpenNode
    open_result: OpenResult
    findings: AskFindings
    findings_result: FindingsResult
    put_pointer: PutPointer
    get_pointer: GetPointer
    pointer_result: PointerResult
    scrub: Scrub
    scrub_result: ScrubResult
    def __init__(self, request_id: _Optional[int] = ..., deadline_ms: _Optional[int] = ..., payload_bytes: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., put: _Optional[_Union[PutShards, _Mapping]] = ..., put_result: _Optional[_Union[PutResult, _Mapping]] = ..., get: _Optional[_Union[GetShards, _Mapping]] = ..., get_result: _Optional[_Union[GetResult, _Mapping]] = ..., exists: _Optional[_Union[Exists, _Mapping]] = ..., exists_result: _Optional[_Union[ExistsResult, _Mapping]] = ..., delete: _Optional[_Union[DeleteOrder, _Mapping]] = ..., delete_result: _Optional[_Union[DeleteResult, _Mapping]] = ..., list: _Optional[_Union[List, _Mapping]] = ..., list_result: _Optional[_Union[ListResult, _Mapping]] = ..., verify: _Optional[_Union[Verify, _Mapping]] = ..., verify_result: _Optional[_Union[VerifyResult, _Mapping]] = ..., stats: _Optional[_Union[Stats, _Mapping]] = ..., stats_result: _Optional[_Union[StatsResult, _Mapping]] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., locate: _Optional[_Union[LocateShards, _Mapping]] = ..., locate_result: _Optional[_Union[LocateResult, _Mapping]] = ..., open_node: _Optional[_Union[OpenNode, _Mapping]] = ..., open_result: _Optional[_Union[OpenResult, _Mapping]] = ..., findings: _Optional[_Union[AskFindings, _Mapping]] = ..., findings_result: _Optional[_Union[FindingsResult, _Mapping]] = ..., put_pointer: _Optional[_Union[PutPointer, _Mapping]] = ..., get_pointer: _Optional[_Union[GetPointer, _Mapping]] = ..., pointer_result: _Optional[_Union[PointerResult, _Mapping]] = ..., scrub: _Optional[_Union[Scrub, _Mapping]] = ..., scrub_result: _Optional[_Union[ScrubResult, _Mapping]] = ...) -> None: ...

class NodeInfo(_message.Message):
    __slots__ = ("node_id", "name", "disk", "state", "incarnation", "total_bytes", "used_bytes", "free_bytes", "shard_count", "reason")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHARD_COUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    name: str
    disk: int
    state: int
    incarnation: bytes
    total_bytes: int
    used_bytes: int
    free_bytes: int
    shard_count: int
    reason: str
    def __init__(self, node_id: _Optional[bytes] = ..., name: _Optional[str] = ..., disk: _Optional[int] = ..., state: _Optional[int] = ..., incarnation: _Optional[bytes] = ..., total_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., free_bytes: _Optional[int] = ..., shard_count: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol_min", "protocol_max", "features", "role", "cluster_id", "incarnation", "nodes")
    PROTOCOL_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MAX_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    protocol_min: int
    protocol_max: int
    features: _containers.RepeatedScalarFieldContainer[str]
    role: str
    cluster_id: bytes
    incarnation: bytes
    nodes: _containers.RepeatedCompositeFieldContainer[NodeInfo]
    def __init__(self, protocol_min: _Optional[int] = ..., protocol_max: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., role: _Optional[str] = ..., cluster_id: _Optional[bytes] = ..., incarnation: _Optional[bytes] = ..., nodes: _Optional[_Iterable[_Union[NodeInfo, _Mapping]]] = ...) -> None: ...

class Ticket(_message.Message):
    __slots__ = ("expires_at_ms", "signature")
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    expires_at_ms: int
    signature: bytes
    def __init__(self, expires_at_ms: _Optional[int] = ..., signature: _Optional[bytes] = ...) -> None: ...

class PutShards(_message.Message):
    __slots__ = ("blob", "chunk", "total", "shard_size", "nodes", "indexes", "block_hashes", "proofs", "verify", "ticket", "memory", "memory_offset")
    BLOB_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SHARD_SIZE_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    BLOCK_HASHES_FIELD_NUMBER: _ClassVar[int]
    PROOFS_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    MEMORY_OFFSET_FIELD_NUMBER: _ClassVar[int]
    blob: int
    chunk: int
    total: int
    shard_size: int
    nodes: bytes
    indexes: bytes
    block_hashes: bytes
    proofs: _containers.RepeatedScalarFieldContainer[bytes]
    verify: bool
    ticket: Ticket
    memory: int
    memory_offset: int
    def __init__(self, blob: _Optional[int] = ..., chunk: _Optional[int] = ..., total: _Optional[int] = ..., shard_size: _Optional[int] = ..., nodes: _Optional[bytes] = ..., indexes: _Optional[bytes] = ..., block_hashes: _Optional[bytes] = ..., proofs: _Optional[_Iterable[bytes]] = ..., verify: _Optional[bool] = ..., ticket: _Optional[_Union[Ticket, _Mapping]] = ..., memory: _Optional[int] = ..., memory_offset: _Optional[int] = ...) -> None: ...

class PutResult(_message.Message):
    __slots__ = ("indexes", "statuses", "last")
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    indexes: bytes
    statuses: bytes
    last: bool
    def __init__(self, indexes: _Optional[bytes] = ..., statuses: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class GetShards(_message.Message):
    __slots__ = ("blob", "chunk", "nodes", "indexes", "first_block", "block_count", "ticket")
    BLOB_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    FIRST_BLOCK_FIELD_NUMBER: _ClassVar[int]
    BLOCK_COUNT_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    blob: int
    chunk: int
    nodes: bytes
    indexes: bytes
    first_block: int
    block_count: int
    ticket: Ticket
    def __init__(self, blob: _Optional[int] = ..., chunk: _Optional[int] = ..., nodes: _Optional[bytes] = ..., indexes: _Optional[bytes] = ..., first_block: _Optional[int] = ..., block_count: _Optional[int] = ..., ticket: _Optional[_Union[Ticket, _Mapping]] = ...) -> None: ...

class GetResult(_message.Message):
    __slots__ = ("statuses", "shard_size", "block_hashes", "proofs")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    SHARD_SIZE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_HASHES_FIELD_NUMBER: _ClassVar[int]
    PROOFS_FIELD_NUMBER: _ClassVar[int]
    statuses: bytes
    shard_size: int
    block_hashes: bytes
    proofs: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, statuses: _Optional[bytes] = ..., shard_size: _Optional[int] = ..., block_hashes: _Optional[bytes] = ..., proofs: _Optional[_Iterable[bytes]] = ...) -> None: ...

class LocateShards(_message.Message):
    __slots__ = ("blob", "chunk", "nodes", "indexes")
    BLOB_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    blob: int
    chunk: int
    nodes: bytes
    indexes: bytes
    def __init__(self, blob: _Optional[int] = ..., chunk: _Optional[int] = ..., nodes: _Optional[bytes] = ..., indexes: _Optional[bytes] = ...) -> None: ...

class LocateResult(_message.Message):
    __slots__ = ("statuses", "shard_size", "block_hashes", "proofs", "packs", "offsets", "header_bytes", "header_crcs")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    SHARD_SIZE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_HASHES_FIELD_NUMBER: _ClassVar[int]
    PROOFS_FIELD_NUMBER: _ClassVar[int]
    PACKS_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    HEADER_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEADER_CRCS_FIELD_NUMBER: _ClassVar[int]
    statuses: bytes
    shard_size: int
    block_hashes: bytes
    proofs: _containers.RepeatedScalarFieldContainer[bytes]
    packs: _containers.RepeatedScalarFieldContainer[int]
    offsets: _containers.RepeatedScalarFieldContainer[int]
    header_bytes: _containers.RepeatedScalarFieldContainer[int]
    header_crcs: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, statuses: _Optional[bytes] = ..., shard_size: _Optional[int] = ..., block_hashes: _Optional[bytes] = ..., proofs: _Optional[_Iterable[bytes]] = ..., packs: _Optional[_Iterable[int]] = ..., offsets: _Optional[_Iterable[int]] = ..., header_bytes: _Optional[_Iterable[int]] = ..., header_crcs: _Optional[_Iterable[int]] = ...) -> None: ...

class Exists(_message.Message):
    __slots__ = ("blob", "chunk", "nodes", "indexes")
    BLOB_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    blob: int
    chunk: int
    nodes: bytes
    indexes: bytes
    def __init__(self, blob: _Optional[int] = ..., chunk: _Optional[int] = ..., nodes: _Optional[bytes] = ..., indexes: _Optional[bytes] = ...) -> None: ...

class ExistsResult(_message.Message):
    __slots__ = ("statuses",)
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    statuses: bytes
    def __init__(self, statuses: _Optional[bytes] = ...) -> None: ...

class Order(_message.Message):
    __slots__ = ("cluster_id", "incarnation", "node_id", "shards", "issued_at_ms", "expires_at_ms", "sequence")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_MS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    cluster_id: bytes
    incarnation: bytes
    node_id: bytes
    shards: bytes
    issued_at_ms: int
    expires_at_ms: int
    sequence: int
    def __init__(self, cluster_id: _Optional[bytes] = ..., incarnation: _Optional[bytes] = ..., node_id: _Optional[bytes] = ..., shards: _Optional[bytes] = ..., issued_at_ms: _Optional[int] = ..., expires_at_ms: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class DeleteOrder(_message.Message):
    __slots__ = ("order", "signature")
    ORDER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    order: bytes
    signature: bytes
    def __init__(self, order: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("node_id", "order_hash", "statuses", "done_at_ms")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_HASH_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    DONE_AT_MS_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    order_hash: bytes
    statuses: bytes
    done_at_ms: int
    def __init__(self, node_id: _Optional[bytes] = ..., order_hash: _Optional[bytes] = ..., statuses: _Optional[bytes] = ..., done_at_ms: _Optional[int] = ...) -> None: ...

class DeleteResult(_message.Message):
    __slots__ = ("statuses", "receipt", "signature")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    statuses: bytes
    receipt: bytes
    signature: bytes
    def __init__(self, statuses: _Optional[bytes] = ..., receipt: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class List(_message.Message):
    __slots__ = ("node_id", "after", "limit", "session")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    after: bytes
    limit: int
    session: int
    def __init__(self, node_id: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., session: _Optional[int] = ...) -> None: ...

class ListResult(_message.Message):
    __slots__ = ("shards", "sizes", "more")
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    SIZES_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    shards: bytes
    sizes: _containers.RepeatedScalarFieldContainer[int]
    more: bool
    def __init__(self, shards: _Optional[bytes] = ..., sizes: _Optional[_Iterable[int]] = ..., more: _Optional[bool] = ...) -> None: ...

class Verify(_message.Message):
    __slots__ = ("node_id", "shard", "block", "nonce", "with_block")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    WITH_BLOCK_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    shard: bytes
    block: int
    nonce: bytes
    with_block: bool
    def __init__(self, node_id: _Optional[bytes] = ..., shard: _Optional[bytes] = ..., block: _Optional[int] = ..., nonce: _Optional[bytes] = ..., with_block: _Optional[bool] = ...) -> None: ...

class VerifyResult(_message.Message):
    __slots__ = ("status", "shard_size", "block_hashes", "proof", "answer", "block", "signature")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SHARD_SIZE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_HASHES_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    status: int
    shard_size: int
    block_hashes: bytes
    proof: bytes
    answer: bytes
    block: bytes
    signature: bytes
    def __init__(self, status: _Optional[int] = ..., shard_size: _Optional[int] = ..., block_hashes: _Optional[bytes] = ..., proof: _Optional[bytes] = ..., answer: _Optional[bytes] = ..., block: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Stats(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatsResult(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeInfo]
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeInfo, _Mapping]]] = ...) -> None: ...

class OpenNode(_message.Message):
    __slots__ = ("folder",)
    FOLDER_FIELD_NUMBER: _ClassVar[int]
    folder: bytes
    def __init__(self, folder: _Optional[bytes] = ...) -> None: ...

class OpenResult(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: NodeInfo
    def __init__(self, node: _Optional[_Union[NodeInfo, _Mapping]] = ...) -> None: ...

class AskFindings(_message.Message):
    __slots__ = ("node_id", "after", "limit")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    after: int
    limit: int
    def __init__(self, node_id: _Optional[bytes] = ..., after: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class FindingsResult(_message.Message):
    __slots__ = ("shards", "last")
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    shards: bytes
    last: int
    def __init__(self, shards: _Optional[bytes] = ..., last: _Optional[int] = ...) -> None: ...

class PutPointer(_message.Message):
    __slots__ = ("node_id", "pointer")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    POINTER_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    pointer: bytes
    def __init__(self, node_id: _Optional[bytes] = ..., pointer: _Optional[bytes] = ...) -> None: ...

class GetPointer(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    def __init__(self, node_id: _Optional[bytes] = ...) -> None: ...

class PointerResult(_message.Message):
    __slots__ = ("found", "pointer")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    POINTER_FIELD_NUMBER: _ClassVar[int]
    found: bool
    pointer: bytes
    def __init__(self, found: _Optional[bool] = ..., pointer: _Optional[bytes] = ...) -> None: ...

class Scrub(_message.Message):
    __slots__ = ("action", "nodes")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    action: int
    nodes: bytes
    def __init__(self, action: _Optional[int] = ..., nodes: _Optional[bytes] = ...) -> None: ...

class ScrubProgress(_message.Message):
    __slots__ = ("node_id", "running", "done_bytes", "total_bytes", "started_at_ms", "finished_at_ms", "found")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    DONE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_MS_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    node_id: bytes
    running: bool
    done_bytes: int
    total_bytes: int
    started_at_ms: int
    finished_at_ms: int
    found: int
    def __init__(self, node_id: _Optional[bytes] = ..., running: _Optional[bool] = ..., done_bytes: _Optional[int] = ..., total_bytes: _Optional[int] = ..., started_at_ms: _Optional[int] = ..., finished_at_ms: _Optional[int] = ..., found: _Optional[int] = ...) -> None: ...

class ScrubResult(_message.Message):
    __slots__ = ("progress",)
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    progress: _containers.RepeatedCompositeFieldContainer[ScrubProgress]
    def __init__(self, progress: _Optional[_Iterable[_Union[ScrubProgress, _Mapping]]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "text")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    code: int
    text: str
    def __init__(self, code: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...
