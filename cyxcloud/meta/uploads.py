"""Multipart uploads.

    OPEN --freeze--> COMPLETING --complete--> COMPLETED --(24 h)--> removed
      |   <--thaw--                     ABORTED --(parts swept)--> removed
      +------------------------abort--------^

Every change is a compare-and-set on the state. Freezing names the write session that completes; when that session was
closed another may take the frozen upload over, so a process that dies in between blocks nobody for ever. Parts are
put under `lock`.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, bindparam, delete, insert, or_, select, update

from cyxcloud.core.ids import BucketId, SessionNumber, UploadId
from cyxcloud.meta.connection import Connection, Row
from cyxcloud.meta.rows import NewUpload, UploadRow, UploadState
from cyxcloud.meta.schema import part, session, upload
from cyxcloud.meta.statement import prepare

_U = upload.c
FIELDS = (
    _U.id,
    _U.bucket,
    _U.key,
    _U.account,
    _U.state,
    _U.created_at_ms,
    _U.changed_at_ms,
    _U.holder,
    _U.request,
    _U.answer,
    _U.attributes,
)
_this = _U.id == bindparam("upload")
_held = and_(_this, _U.state == int(UploadState.COMPLETING), _U.holder == bindparam("by_session"))


def _of_closed_session() -> ColumnElement[bool]:
    return select(session.c.number).where(session.c.number == _U.holder, session.c.closed_at_ms.is_not(None)).exists()


_takeable = or_(
    _U.state == int(UploadState.OPEN),
    and_(_U.state == int(UploadState.COMPLETING), or_(_U.holder == bindparam("by_session"), _of_closed_session())),
)
_insert = prepare(insert(upload))
_read = prepare(select(*FIELDS).where(_this))
_lock = prepare(select(*FIELDS).where(_this).with_for_update())
_freeze = prepare(
    update(upload)
    .where(_this, _takeable)
    .values(
        state=int(UploadState.COMPLETING),
        holder=bindparam("by_session"),
        request=bindparam("request"),
        changed_at_ms=bindparam("now_ms"),
    )
    .returning(*FIELDS)
)
_thaw = prepare(
    update(upload)
    .where(_held)
    .values(state=int(UploadState.OPEN), holder=None, request=None, changed_at_ms=bindparam("now_ms"))
)
_complete = prepare(
    update(upload)
    .where(_held)
    .values(state=int(UploadState.COMPLETED), listed=0, answer=bindparam("answer"), changed_at_ms=bindparam("now_ms"))
)
_aborted = {"state": int(UploadState.ABORTED), "listed": 0, "changed_at_ms": bindparam("now_ms")}
_abort = prepare(
    update(upload)
    .where(
        _this,
        or_(
            _U.state == int(UploadState.OPEN),
            and_(_U.state == int(UploadState.COMPLETING), _of_closed_session()),
        ),
    )
    .values(_aborted)
)
_abort_all = prepare(
    update(upload)
    .where(_U.bucket == bindparam("of_bucket"), _U.listed == 1, _U.state == int(UploadState.OPEN))
    .values(_aborted)
)
_any = prepare(
    select(_U.id).where(_U.bucket == bindparam("of_bucket"), _U.listed == 1).limit(1),
)
_spent = prepare(
    select(*FIELDS)
    .where(
        or_(
            _U.state == int(UploadState.ABORTED),
            and_(_U.state == int(UploadState.COMPLETED), _U.changed_at_ms <= bindparam("completed_before_ms")),
        )
    )
    .order_by(_U.state, _U.changed_at_ms)
    .limit(bindparam("at_most"))
)
_remove = prepare(
    delete(upload).where(
        _this,
        _U.state >= int(UploadState.COMPLETED),
        ~select(part.c.upload).where(part.c.upload == _U.id).exists(),
    )
)


def create(conn: Connection, new: NewUpload) -> None:
    conn.run(
        _insert,
        {
            "id": new.id,
            "bucket": new.bucket,
            "key": new.key,
            "account": new.account,
            "state": int(UploadState.OPEN),
            "listed": 1,
            "created_at_ms": new.created_at_ms,
            "changed_at_ms": new.created_at_ms,
            "holder": None,
            "request": None,
            "answer": None,
            "attributes": new.attributes,
        },
    )


def read(conn: Connection, upload_id: UploadId) -> UploadRow | None:
    return _one(conn.one(_read, {"upload": upload_id}))


def lock(conn: Connection, upload_id: UploadId) -> UploadRow | None:
    """Read it so that its state stays until the transaction ends."""
    return _one(conn.one(_lock, {"upload": upload_id}))


def freeze(
    conn: Connection, upload_id: UploadId, holder: SessionNumber, request: bytes, now_ms: int
) -> UploadRow | None:
    """OPEN to COMPLETING (or take over from a closed session, or freeze again in one's own); None when neither."""
    params = {"upload": upload_id, "by_session": holder, "request": request, "now_ms": now_ms}
    return _one(conn.one(_freeze, params))


def thaw(conn: Connection, upload_id: UploadId, holder: SessionNumber, now_ms: int) -> bool:
    """COMPLETING back to OPEN: the completion was refused, parts may be put again."""
    return conn.run(_thaw, {"upload": upload_id, "by_session": holder, "now_ms": now_ms}) == 1


def complete(conn: Connection, upload_id: UploadId, holder: SessionNumber, answer: bytes, now_ms: int) -> bool:
    """COMPLETING to COMPLETED, in the transaction that makes the version; False when the upload is not held any
    more."""
    params = {"upload": upload_id, "by_session": holder, "answer": answer, "now_ms": now_ms}
    return conn.run(_complete, params) == 1


def abort(conn: Connection, upload_id: UploadId, now_ms: int) -> bool:
    """False when it is being completed, has ended, or never was. Its parts are swept later."""
    return conn.run(_abort, {"upload": upload_id, "now_ms": now_ms}) == 1


def abort_all(conn: Connection, bucket: BucketId, now_ms: int) -> int:
    return conn.run(_abort_all, {"of_bucket": bucket, "now_ms": now_ms})


def any_listed(conn: Connection, bucket: BucketId) -> bool:
    return conn.one(_any, {"of_bucket": bucket}) is not None


def spent(conn: Connection, completed_before_ms: int, limit: int = 100) -> list[UploadRow]:
    """Aborted uploads, and completed ones whose answer need not be remembered any more."""
    params = {"completed_before_ms": completed_before_ms, "at_most": limit}
    return [row_of(row) for row in conn.rows(_spent, params)]


def remove(conn: Connection, upload_id: UploadId) -> bool:
    """Forget an ended upload; False while it has parts."""
    return conn.run(_remove, {"upload": upload_id}) == 1


def row_of(row: Row) -> UploadRow:
    upload_id, bucket, key, account, state, *rest = row
    return UploadRow(upload_id, bucket, key, account, UploadState(state), *rest)


def _one(row: Row | None) -> UploadRow | None:
    return None if row is None else row_of(row)
