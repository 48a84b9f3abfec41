"""One module per resource; the table binds an operation's handler name to its function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from s3gw.context import RequestContext, Response
from s3gw.handlers import (
    acl,
    archive,
    bucket,
    cors,
    lifecycle,
    listing,
    notification,
    object_lock,
    objects,
    ownership,
    policy,
    public_access,
    removals,
    tagging,
    versioning,
)
from s3gw.handlers.copy import copy_object, upload_part_copy
from s3gw.handlers.list_versions import list_object_versions
from s3gw.handlers.multipart import (
    abort_multipart_upload,
    complete_multipart_upload,
    create_multipart_upload,
    upload_part,
)
from s3gw.handlers.post import post_object

Handler = Callable[[RequestContext], Awaitable[Response]]

HANDLERS: dict[str, Handler] = {
    "list_buckets": bucket.list_buckets,
    "create_bucket": bucket.create_bucket,
    "head_bucket": bucket.head_bucket,
    "delete_bucket": bucket.delete_bucket,
    "get_bucket_location": bucket.get_bucket_location,
    "get_bucket_versioning": versioning.get_bucket_versioning,
    "put_bucket_versioning": versioning.put_bucket_versioning,
    "list_objects": listing.list_objects,
    "list_objects_v2": listing.list_objects_v2,
    "list_object_versions": list_object_versions,
    "list_multipart_uploads": listing.list_multipart_uploads,
    "list_parts": listing.list_parts,
    "put_object": objects.put_object,
    "get_object": objects.get_object,
    "head_object": objects.head_object,
    "delete_object": removals.delete_object,
    "delete_objects": removals.delete_objects,
    "post_object": post_object,
    "get_bucket_cors": cors.get_bucket_cors,
    "put_bucket_cors": cors.put_bucket_cors,
    "delete_bucket_cors": cors.delete_bucket_cors,
    "get_object_attributes": objects.get_object_attributes,
    "copy_object": copy_object,
    "upload_part_copy": upload_part_copy,
    "create_multipart_upload": create_multipart_upload,
    "upload_part": upload_part,
    "complete_multipart_upload": complete_multipart_upload,
    "abort_multipart_upload": abort_multipart_upload,
    "get_bucket_notification_configuration": notification.get_bucket_notification_configuration,
    "put_bucket_notification_configuration": notification.put_bucket_notification_configuration,
    "get_object_tagging": tagging.get_object_tagging,
    "put_object_tagging": tagging.put_object_tagging,
    "delete_object_tagging": tagging.delete_object_tagging,
    "get_bucket_tagging": tagging.get_bucket_tagging,
    "put_bucket_tagging": tagging.put_bucket_tagging,
    "delete_bucket_tagging": tagging.delete_bucket_tagging,
    "get_bucket_lifecycle": lifecycle.get_bucket_lifecycle,
    "put_bucket_lifecycle": lifecycle.put_bucket_lifecycle,
    "delete_bucket_lifecycle": lifecycle.delete_bucket_lifecycle,
    "restore_object": archive.restore_object,
    "get_bucket_acl": acl.get_bucket_acl,
    "put_bucket_acl": acl.put_bucket_acl,
    "get_object_acl": acl.get_object_acl,
    "put_object_acl": acl.put_object_acl,
    "get_bucket_ownership_controls": ownership.get_bucket_ownership_controls,
    "put_bucket_ownership_controls": ownership.put_bucket_ownership_controls,
    "delete_bucket_ownership_controls": ownership.delete_bucket_ownership_controls,
    "get_bucket_policy": policy.get_bucket_policy,
    "put_bucket_policy": policy.put_bucket_policy,
    "delete_bucket_policy": policy.delete_bucket_policy,
    "get_bucket_policy_status": policy.get_bucket_policy_status,
    "get_public_access_block": public_access.get_public_access_block,
    "put_public_access_block": public_access.put_public_access_block,
    "delete_public_access_block": public_access.delete_public_access_block,
    "get_object_lock_configuration": object_lock.get_object_lock_configuration,
    "put_object_lock_configuration": object_lock.put_object_lock_configuration,
    "get_object_retention": object_lock.get_object_retention,
    "put_object_retention": object_lock.put_object_retention,
    "get_object_legal_hold": object_lock.get_object_legal_hold,
    "put_object_legal_hold": object_lock.put_object_legal_hold,
}
