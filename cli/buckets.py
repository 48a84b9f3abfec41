"""`cyxcloud bucket`: what there is, what it holds, and how much it may hold."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cli.options import CommandError, DataOption, JsonOption, explained, home_of, show, table
from cli.quotas import BytesOption, NoneOption, ObjectsOption, described, quota_text, wanted
from cli.store import Store, open_existing
from cyxcloud.meta import accounts, buckets, quotas
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import AccountRow, BucketRow, Versioning
from cyxcloud.objects import bucket_config, quota
from cyxcloud.objects.quota import QUOTA, Quota

app = typer.Typer(help="Buckets: list them, limit them.", no_args_is_help=True, rich_markup_mode=None)

_PAGE = 1000


@app.command("list")
def list_buckets(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """List all buckets with what they hold and may hold; every version counts.

    Example: cyxcloud bucket list --json
    """
    with explained(), open_existing(home_of(data)) as store, store.reader.snapshot():
        rows = [
            _described(store.reader, bucket, user)
            for user in accounts.read_all(store.reader)
            for bucket in _all_of(store.reader, user)
        ]
    columns = ("name", "owner", "versioning", "objects", "bytes", "quota_objects", "quota_bytes")
    show(rows, as_json=as_json, text=lambda console: table(console, columns, rows))


@app.command("quota")
def set_quota(
    name: Annotated[str, typer.Argument(metavar="BUCKET")],
    *,
    to_bytes: BytesOption = None,
    to_objects: ObjectsOption = None,
    none: NoneOption = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or set how much a bucket may hold. What would pass it is refused with QuotaExceeded; deleting never is.

    Examples:

      cyxcloud bucket quota photos --bytes 10GB --objects 100000

      cyxcloud bucket quota photos --none
    """
    with explained(), open_existing(home_of(data)) as store:
        value = _quota(store, name, to_bytes, to_objects, none=none)
    show(value, as_json=as_json, text=lambda console: console.print(quota_text(f"bucket {name}", value)))


def _quota(store: Store, name: str, to_bytes: str | None, to_objects: int | None, *, none: bool) -> dict[str, Any]:
    bucket = buckets.read(store.reader, name)
    if bucket is None:
        raise CommandError(f"there is no bucket {name}; `cyxcloud bucket list` shows what there is")
    present = bucket_config.read(store.reader, bucket.id, QUOTA) or Quota()
    changed = wanted(present, to_bytes, to_objects, none=none)
    if changed != present:
        store.change(lambda conn: quota.set_bucket(conn, bucket, changed))
    with store.reader.snapshot():
        return {"bucket": name} | described(changed, quotas.of_bucket(store.reader, bucket.id))


def _all_of(conn: Connection, user: AccountRow) -> list[BucketRow]:
    found: list[BucketRow] = []
    more = True
    while more:
        page, more = buckets.page(conn, user.id, after=found[-1].name if found else "", limit=_PAGE)
        found += page
    return found


def _described(conn: Connection, bucket: BucketRow, user: AccountRow) -> dict[str, Any]:
    limit = bucket_config.read(conn, bucket.id, QUOTA) or Quota()
    kept = {Versioning.OFF: "off", Versioning.ENABLED: "enabled", Versioning.SUSPENDED: "suspended"}
    return {
        "name": bucket.name,
        "owner": user.canonical_id,
        "created_at_ms": bucket.created_at_ms,
        "versioning": kept[bucket.versioning],
    } | described(limit, quotas.of_bucket(conn, bucket.id))
