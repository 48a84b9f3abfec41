"""Access control lists: who besides the owner may do what with a bucket or an object (pure).

https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
"""

from __future__ import annotations

from typing import NamedTuple

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"


class Grant(NamedTuple):
    """`grantee` is an account's canonical id, or the URI of a group; `permission` as S3 spells it (READ, WRITE,
    READ_ACP, WRITE_ACP, FULL_CONTROL)."""

    grantee: str
    permission: str

    @property
    def is_group(self) -> bool:
        return self.grantee.startswith("http://")
