"""What a bucket's inventories are to list, where to and how often (pure).

https://docs.aws.amazon.com/AmazonS3/latest/API/API_InventoryConfiguration.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cyxcloud.objects.bucket_config import ConfigKey

ALL, CURRENT = "All", "Current"
DAILY, WEEKLY = "Daily", "Weekly"
CSV = "CSV"
# In the order of their columns.
OPTIONAL_FIELDS = (
    "Size",
    "LastModifiedDate",
    "ETag",
    "StorageClass",
    "IsMultipartUploaded",
    "ReplicationStatus",
    "EncryptionStatus",
    "ObjectLockRetainUntilDate",
    "ObjectLockMode",
    "ObjectLockLegalHoldStatus",
    "IntelligentTieringAccessTier",
    "BucketKeyStatus",
    "ChecksumAlgorithm",
    "ObjectAccessControlList",
    "ObjectOwner",
)
MAX_CONFIGS = 1000
_BUCKET_ARN = re.compile(r"arn:[a-z0-9-]+:s3:::(?P<name>[a-z0-9.-]{3,63})").fullmatch
CONFIG_ID = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch


@dataclass(frozen=True, slots=True)
class InventoryConfig:
    """`destination` is a bucket's ARN, `prefix` that of the reports in it; `filter_prefix` None lists all keys."""

    id: str
    destination: str
    versions: str
    frequency: str
    enabled: bool = True
    account: str = ""
    prefix: str | None = None
    filter_prefix: str | None = None
    fields: tuple[str, ...] = ()
    sse_s3: bool = False

    @property
    def bucket(self) -> str:
        """The name of the destination, "" where it is none."""
        found = _BUCKET_ARN(self.destination)
        return "" if found is None else found["name"]


@dataclass(frozen=True, slots=True)
class Inventories:
    """By id."""

    configs: tuple[InventoryConfig, ...] = ()

    def find(self, config_id: str) -> InventoryConfig | None:
        return next((each for each in self.configs if each.id == config_id), None)

    def with_one(self, config: InventoryConfig) -> Inventories:
        others = [each for each in self.configs if each.id != config.id]
        return Inventories(tuple(sorted([*others, config], key=lambda each: each.id)))

    def without(self, config_id: str) -> Inventories:
        return Inventories(tuple([each for each in self.configs if each.id != config_id]))


INVENTORY = ConfigKey("inventory", Inventories)


def work_name(config_id: str) -> str:
    """Of the note where its reports are."""
    return f"inventory/{config_id}"
