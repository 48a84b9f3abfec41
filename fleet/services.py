"""May the store itself, in one of its roles, put an object into a user's bucket: the target's policy says so.

A service acts for no account, so whoever configures a delivery gains nothing by it: the target's owner allows the
service by name, for a source that his policy can name by `aws:SourceAccount` and `aws:SourceArn`.
"""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.meta import accounts, buckets
from cyxcloud.meta.connection import Connection
from cyxcloud.meta.rows import BucketRow

INVENTORIES = "s3.amazonaws.com"


class NotAllowed(Exception):
    """The target is not there, or does not let the service in."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a service wants to put: something about the bucket `source` under `key` in the bucket named `target`."""

    service: str
    source: BucketRow
    target: str
    key: bytes


def target_of(reader: Connection, delivery: Delivery) -> BucketRow:
    """The bucket, where the delivery is allowed. Raises NotAllowed."""
    target = buckets.read(reader, delivery.target)
    if target is None:
        raise NotAllowed(f"there is no bucket {delivery.target}")
    if target.account != delivery.source.account or accounts.read(reader, target.account) is None:
        raise NotAllowed(f"{delivery.service} may not put into {delivery.target}")
    return target
