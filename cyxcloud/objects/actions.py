"""The actions that a policy may name, and what each is done to (pure).

Those of `rights.Permission`, and those that only Amazon's own services or its other interfaces carry out: a policy that
names them is right, though here they are never asked for.
"""

from __future__ import annotations

from cyxcloud.objects.rights import Permission, ResourceKind

_P = Permission
_ON_OBJECTS = frozenset(
    permission.value.lower()
    for permission in (
        _P.ABORT_MULTIPART_UPLOAD,
        _P.BYPASS_GOVERNANCE_RETENTION,
        _P.DELETE_OBJECT,
        _P.DELETE_OBJECT_ANNOTATION,
        _P.DELETE_OBJECT_TAGGING,
        _P.DELETE_OBJECT_VERSION,
        _P.DELETE_OBJECT_VERSION_TAGGING,
        _P.GET_OBJECT,
        _P.GET_OBJECT_ACL,
        _P.GET_OBJECT_ANNOTATION,
        _P.GET_OBJECT_ATTRIBUTES,
        _P.GET_OBJECT_LEGAL_HOLD,
        _P.GET_OBJECT_RETENTION,
        _P.GET_OBJECT_TAGGING,
        _P.GET_OBJECT_TORRENT,
        _P.GET_OBJECT_VERSION,
        _P.GET_OBJECT_VERSION_ACL,
        _P.GET_OBJECT_VERSION_ATTRIBUTES,
        _P.GET_OBJECT_VERSION_TAGGING,
        _P.LIST_MULTIPART_UPLOAD_PARTS,
        _P.LIST_OBJECT_ANNOTATIONS,
        _P.PUT_OBJECT,
        _P.PUT_OBJECT_ACL,
        _P.PUT_OBJECT_ANNOTATION,
        _P.PUT_OBJECT_LEGAL_HOLD,
        _P.PUT_OBJECT_RETENTION,
        _P.PUT_OBJECT_TAGGING,
        _P.PUT_OBJECT_VERSION_ACL,
        _P.PUT_OBJECT_VERSION_TAGGING,
        _P.RESTORE_OBJECT,
        _P.UPDATE_OBJECT_ENCRYPTION,
    )
) | frozenset(
    f"s3:{name.lower()}"
    for name in (
        "GetObjectVersionForReplication",
        "GetObjectVersionTorrent",
        "InitiateReplication",
        "ObjectOwnerOverrideToBucketOwner",
        "ReplicateDelete",
        "ReplicateObject",
        "ReplicateTags",
    )
)
_ON_BUCKETS = frozenset(
    f"s3:{name.lower()}" for name in ("GetAccountPublicAccessBlock", "PutAccountPublicAccessBlock", "PauseReplication")
)
ACTIONS = frozenset(permission.value.lower() for permission in Permission) | _ON_OBJECTS | _ON_BUCKETS


def action_of(permission: Permission) -> str:
    """As the patterns of policies, which do not depend on case, are matched with it."""
    return _LOWER[permission]


_LOWER = {permission: permission.value.lower() for permission in Permission}


def resource_kind_of(action: str) -> ResourceKind:
    return ResourceKind.OBJECT if action in _ON_OBJECTS else ResourceKind.BUCKET
