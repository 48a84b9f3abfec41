"""A bucket's public access block: what its ACLs and its policy may not give to everybody, whatever they say (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from cyxcloud.objects.bucket_config import ConfigKey


@dataclass(frozen=True, slots=True)
class PublicAccessBlock:
    """The first and third refuse new public ACLs and policies; the others take their force from what is there."""

    block_public_acls: bool = False
    ignore_public_acls: bool = False
    block_public_policy: bool = False
    restrict_public_buckets: bool = False


NOTHING_BLOCKED = PublicAccessBlock()
PUBLIC_ACCESS_BLOCK = ConfigKey("public_access_block", PublicAccessBlock)
