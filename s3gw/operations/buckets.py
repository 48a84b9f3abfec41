"""The rows of the service and of buckets themselves: what they hold, and what is sent to one (pure)."""

from __future__ import annotations

from cyxcloud.objects.rights import Permission
from s3gw.operations.row import FORM, GRANTS, LISTING, NEW_OBJECT, STREAM, XML, row

P = Permission  # the table is read by its columns

SERVICE_ROWS = (
    row(
        "ListBuckets",
        "GET /",
        P.LIST_ALL_MY_BUCKETS,
        handler="list_buckets",
        optional="max-buckets continuation-token prefix bucket-region",
    ),
    row("ListDirectoryBuckets", "GET /?max-directory-buckets", P.LIST_ALL_DIRECTORY_BUCKETS),
)

BUCKET_ROWS = (
    row(
        "CreateBucket",
        "PUT /b",
        P.CREATE_BUCKET,
        XML,
        handler="create_bucket",
        headers=GRANTS + "x-amz-bucket-object-lock-enabled x-amz-object-ownership x-amz-bucket-namespace",
    ),
    row("HeadBucket", "HEAD /b", P.LIST_BUCKET, handler="head_bucket"),
    row("DeleteBucket", "DELETE /b", P.DELETE_BUCKET, handler="delete_bucket"),
    row("GetBucketLocation", "GET /b?location", P.GET_BUCKET_LOCATION, handler="get_bucket_location"),
    row(
        "ListObjects",
        "GET /b",
        P.LIST_BUCKET,
        handler="list_objects",
        optional=LISTING + "marker max-keys",
        headers="x-amz-optional-object-attributes",
    ),
    row(
        "ListObjectsV2",
        "GET /b?list-type=2",
        P.LIST_BUCKET,
        handler="list_objects_v2",
        optional=LISTING + "max-keys continuation-token fetch-owner start-after",
        headers="x-amz-optional-object-attributes",
    ),
    row(
        "DeleteObjects",
        "POST /b?delete",
        P.DELETE_OBJECT,
        XML,
        handler="delete_objects",
        headers="x-amz-mfa x-amz-bypass-governance-retention",
    ),
    row(
        "ListMultipartUploads",
        "GET /b?uploads",
        P.LIST_BUCKET_MULTIPART_UPLOADS,
        handler="list_multipart_uploads",
        optional=LISTING + "key-marker max-uploads upload-id-marker",
    ),
    row("PostObject", "POST /b", P.PUT_OBJECT, FORM, handler="post_object", headers=NEW_OBJECT),
    row(
        "ListObjectVersions",
        "GET /b?versions",
        P.LIST_BUCKET_VERSIONS,
        handler="list_object_versions",
        optional=LISTING + "key-marker max-keys version-id-marker",
        headers="x-amz-optional-object-attributes",
    ),
    row("CreateSession", "GET /b?session", P.CREATE_SESSION),
    row(
        "WriteGetObjectResponse",
        "POST /b",
        P.WRITE_GET_OBJECT_RESPONSE,
        STREAM,
        source=("x-amz-request-route", "x-amz-request-token"),
    ),
)
