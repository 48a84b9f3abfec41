"""Every S3 operation, one row each: how a request for it looks, what it needs to be allowed, who handles it (pure).

A row without a handler is answered with NotImplemented; it stands here so that its requests are recognised and never
taken for those of another operation. A row with one lists every query parameter and x-amz header that it *understands*,
and `resolve.py` refuses the others: what is ignored may have changed the request's meaning. Understood does not mean
granted: handlers refuse the values whose feature is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from cyxcloud.objects.rights import Permission, ResourceKind

P = Permission  # the table is read by its columns
Target = ResourceKind


class BodyKind(Enum):
    """What a request carries: nothing, a small document read whole, or an object's bytes."""

    NONE = auto()
    XML = auto()
    JSON = auto()
    FORM = auto()
    STREAM = auto()


@dataclass(frozen=True, slots=True)
class Operation:
    """`query` are parameters that select the row, with the value they must have where that matters, else None."""

    name: str
    method: str
    target: Target
    query: tuple[tuple[str, str | None], ...]
    required_headers: tuple[str, ...]
    permission: P
    body: BodyKind
    handler: str | None
    optional_query: frozenset[str]
    headers: frozenset[str]
    aliases: tuple[str, ...]
    known_query: frozenset[str]
    mutating: bool

    @property
    def specificity(self) -> int:
        return len(self.query) + len(self.required_headers)


NO_BODY, XML, JSON, FORM, STREAM = BodyKind.NONE, BodyKind.XML, BodyKind.JSON, BodyKind.FORM, BodyKind.STREAM


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Understood, or harmless, on every operation. Checksums are named one by one: one that we cannot verify is refused.
COMMON_HEADERS = words(
    """x-amz-date x-amz-api-version x-amz-content-sha256 x-amz-security-token x-amz-user-agent x-amz-te x-amz-trailer
    x-amz-decoded-content-length x-amz-expected-bucket-owner x-amz-request-payer x-amz-cf-id
    x-amz-checksum-crc32 x-amz-checksum-crc32c x-amz-checksum-crc64nvme x-amz-checksum-sha1 x-amz-checksum-sha256
    x-amz-checksum-mode x-amz-checksum-algorithm x-amz-checksum-type"""
)
COMMON_HEADER_PREFIXES = ("x-amz-meta-", "x-amz-sdk-")

_SSE_C = """x-amz-server-side-encryption-customer-algorithm x-amz-server-side-encryption-customer-key
    x-amz-server-side-encryption-customer-key-md5 """
# Of parts and completions: an upload has decided when it began.
_AS_BEGUN = """x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id
    x-amz-server-side-encryption-context x-amz-server-side-encryption-bucket-key-enabled """
_SOURCE_SSE_C = _SSE_C.replace("x-amz-", "x-amz-copy-source-")
_GRANTS = """x-amz-acl x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write
    x-amz-grant-write-acp """
_NEW_OBJECT = (
    _SSE_C
    + _GRANTS
    + """x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-context
    x-amz-server-side-encryption-bucket-key-enabled x-amz-storage-class x-amz-website-redirect-location x-amz-tagging
    x-amz-object-lock-mode x-amz-object-lock-retain-until-date x-amz-object-lock-legal-hold """
)
_COPY_SOURCE = (
    _SOURCE_SSE_C
    + """x-amz-copy-source x-amz-copy-source-if-match x-amz-copy-source-if-none-match
    x-amz-copy-source-if-modified-since x-amz-copy-source-if-unmodified-since x-amz-source-expected-bucket-owner """
)
_LISTING = "delimiter encoding-type prefix "
_READ_OBJECT = """versionId partNumber response-cache-control response-content-disposition response-content-encoding
    response-content-language response-content-type response-expires"""


def _row(
    name: str,
    request: str,
    permission: P,
    body: BodyKind = NO_BODY,
    *,
    handler: str | None = None,
    source: tuple[str, ...] = (),
    optional: str = "",
    headers: str = "",
    aliases: tuple[str, ...] = (),
) -> Operation:
    """`request` is written as the model writes it, e.g. `PUT /b/k?partNumber&uploadId`: /b a bucket, /b/k a key."""
    method, _, uri = request.partition(" ")
    path, _, raw_query = uri.partition("?")
    target = {"/": Target.SERVICE, "/b": Target.BUCKET, "/b/k": Target.OBJECT}[path]
    query = tuple(_selector(item) for item in raw_query.split("&")) if raw_query else ()
    optional_query = words(optional)
    known = optional_query | {selector for selector, _ in query}
    mutating = method not in ("GET", "HEAD")
    understood = words(headers) | COMMON_HEADERS | frozenset(source)
    return Operation(
        name,
        method,
        target,
        query,
        source,
        permission,
        body,
        handler,
        optional_query,
        understood,
        aliases,
        known,
        mutating,
    )


def _selector(text: str) -> tuple[str, str | None]:
    name, _, value = text.partition("=")
    return name, value or None


SERVICE_ROWS = (
    _row(
        "ListBuckets",
        "GET /",
        P.LIST_ALL_MY_BUCKETS,
        handler="list_buckets",
        optional="max-buckets continuation-token prefix bucket-region",
    ),
    _row("ListDirectoryBuckets", "GET /?max-directory-buckets", P.LIST_ALL_DIRECTORY_BUCKETS),
)

BUCKET_ROWS = (
    _row(
        "CreateBucket",
        "PUT /b",
        P.CREATE_BUCKET,
        XML,
        handler="create_bucket",
        headers=_GRANTS + "x-amz-bucket-object-lock-enabled x-amz-object-ownership x-amz-bucket-namespace",
    ),
    _row("HeadBucket", "HEAD /b", P.LIST_BUCKET, handler="head_bucket"),
    _row("DeleteBucket", "DELETE /b", P.DELETE_BUCKET, handler="delete_bucket"),
    _row("GetBucketLocation", "GET /b?location", P.GET_BUCKET_LOCATION, handler="get_bucket_location"),
    _row(
        "ListObjects",
        "GET /b",
        P.LIST_BUCKET,
        handler="list_objects",
        optional=_LISTING + "marker max-keys",
        headers="x-amz-optional-object-attributes",
    ),
    _row(
        "ListObjectsV2",
        "GET /b?list-type=2",
        P.LIST_BUCKET,
        handler="list_objects_v2",
        optional=_LISTING + "max-keys continuation-token fetch-owner start-after",
        headers="x-amz-optional-object-attributes",
    ),
    _row(
        "DeleteObjects",
        "POST /b?delete",
        P.DELETE_OBJECT,
        XML,
        handler="delete_objects",
        headers="x-amz-mfa x-amz-bypass-governance-retention",
    ),
    _row(
        "ListMultipartUploads",
        "GET /b?uploads",
        P.LIST_BUCKET_MULTIPART_UPLOADS,
        handler="list_multipart_uploads",
        optional=_LISTING + "key-marker max-uploads upload-id-marker",
    ),
    _row("PostObject", "POST /b", P.PUT_OBJECT, FORM, handler="post_object", headers=_NEW_OBJECT),
    _row(
        "ListObjectVersions",
        "GET /b?versions",
        P.LIST_BUCKET_VERSIONS,
        handler="list_object_versions",
        optional=_LISTING + "key-marker max-keys version-id-marker",
        headers="x-amz-optional-object-attributes",
    ),
    _row("CreateSession", "GET /b?session", P.CREATE_SESSION),
    _row(
        "WriteGetObjectResponse",
        "POST /b",
        P.WRITE_GET_OBJECT_RESPONSE,
        STREAM,
        source=("x-amz-request-route", "x-amz-request-token"),
    ),
    _row("GetBucketAbac", "GET /b?abac", P.GET_BUCKET_ABAC),
    _row("PutBucketAbac", "PUT /b?abac", P.PUT_BUCKET_ABAC, XML),
    _row("GetBucketAccelerateConfiguration", "GET /b?accelerate", P.GET_ACCELERATE_CONFIGURATION),
    _row("PutBucketAccelerateConfiguration", "PUT /b?accelerate", P.PUT_ACCELERATE_CONFIGURATION, XML),
    _row("GetBucketAcl", "GET /b?acl", P.GET_BUCKET_ACL, handler="get_bucket_acl"),
    _row("PutBucketAcl", "PUT /b?acl", P.PUT_BUCKET_ACL, XML, handler="put_bucket_acl", headers=_GRANTS),
    _row("GetBucketAnalyticsConfiguration", "GET /b?analytics&id", P.GET_ANALYTICS_CONFIGURATION),
    _row("ListBucketAnalyticsConfigurations", "GET /b?analytics", P.GET_ANALYTICS_CONFIGURATION),
    _row("PutBucketAnalyticsConfiguration", "PUT /b?analytics", P.PUT_ANALYTICS_CONFIGURATION, XML),
    _row("DeleteBucketAnalyticsConfiguration", "DELETE /b?analytics", P.PUT_ANALYTICS_CONFIGURATION),
    _row("GetBucketCors", "GET /b?cors", P.GET_BUCKET_CORS, handler="get_bucket_cors"),
    _row("PutBucketCors", "PUT /b?cors", P.PUT_BUCKET_CORS, XML, handler="put_bucket_cors"),
    _row("DeleteBucketCors", "DELETE /b?cors", P.PUT_BUCKET_CORS, handler="delete_bucket_cors"),
    _row(
        "GetBucketEncryption",
        "GET /b?encryption",
        P.GET_ENCRYPTION_CONFIGURATION,
        handler="get_bucket_encryption",
    ),
    _row(
        "PutBucketEncryption",
        "PUT /b?encryption",
        P.PUT_ENCRYPTION_CONFIGURATION,
        XML,
        handler="put_bucket_encryption",
    ),
    _row(
        "DeleteBucketEncryption",
        "DELETE /b?encryption",
        P.PUT_ENCRYPTION_CONFIGURATION,
        handler="delete_bucket_encryption",
    ),
    _row("GetBucketIntelligentTieringConfiguration", "GET /b?intelligent-tiering&id", P.GET_INTELLIGENT_TIERING),
    _row("ListBucketIntelligentTieringConfigurations", "GET /b?intelligent-tiering", P.GET_INTELLIGENT_TIERING),
    _row("PutBucketIntelligentTieringConfiguration", "PUT /b?intelligent-tiering", P.PUT_INTELLIGENT_TIERING, XML),
    _row("DeleteBucketIntelligentTieringConfiguration", "DELETE /b?intelligent-tiering", P.PUT_INTELLIGENT_TIERING),
    _row(
        "GetBucketInventoryConfiguration",
        "GET /b?inventory&id",
        P.GET_INVENTORY,
        handler="get_bucket_inventory_configuration",
    ),
    _row(
        "ListBucketInventoryConfigurations",
        "GET /b?inventory",
        P.GET_INVENTORY,
        handler="list_bucket_inventory_configurations",
        optional="continuation-token",
    ),
    _row(
        "PutBucketInventoryConfiguration",
        "PUT /b?inventory&id",
        P.PUT_INVENTORY,
        XML,
        handler="put_bucket_inventory_configuration",
    ),
    _row(
        "DeleteBucketInventoryConfiguration",
        "DELETE /b?inventory&id",
        P.PUT_INVENTORY,
        handler="delete_bucket_inventory_configuration",
    ),
    _row(
        "GetBucketLifecycleConfiguration",
        "GET /b?lifecycle",
        P.GET_LIFECYCLE,
        handler="get_bucket_lifecycle",
        aliases=("GetBucketLifecycle",),
    ),
    _row(
        "PutBucketLifecycleConfiguration",
        "PUT /b?lifecycle",
        P.PUT_LIFECYCLE,
        XML,
        handler="put_bucket_lifecycle",
        headers="x-amz-transition-default-minimum-object-size",
        aliases=("PutBucketLifecycle",),
    ),
    _row("DeleteBucketLifecycle", "DELETE /b?lifecycle", P.PUT_LIFECYCLE, handler="delete_bucket_lifecycle"),
    _row("GetBucketLogging", "GET /b?logging", P.GET_BUCKET_LOGGING, handler="get_bucket_logging"),
    _row("PutBucketLogging", "PUT /b?logging", P.PUT_BUCKET_LOGGING, XML, handler="put_bucket_logging"),
    _row("CreateBucketMetadataConfiguration", "POST /b?metadataConfiguration", P.PUT_BUCKET_METADATA_TABLE, XML),
    _row("GetBucketMetadataConfiguration", "GET /b?metadataConfiguration", P.GET_BUCKET_METADATA_TABLE),
    _row("DeleteBucketMetadataConfiguration", "DELETE /b?metadataConfiguration", P.DELETE_BUCKET_METADATA_TABLE),
    _row("CreateBucketMetadataTableConfiguration", "POST /b?metadataTable", P.PUT_BUCKET_METADATA_TABLE, XML),
    _row("GetBucketMetadataTableConfiguration", "GET /b?metadataTable", P.GET_BUCKET_METADATA_TABLE),
    _row("DeleteBucketMetadataTableConfiguration", "DELETE /b?metadataTable", P.DELETE_BUCKET_METADATA_TABLE),
    _row(
        "UpdateBucketMetadataAnnotationTableConfiguration",
        "PUT /b?metadataAnnotationTable",
        P.UPDATE_BUCKET_METADATA_ANNOTATION,
        XML,
    ),
    _row(
        "UpdateBucketMetadataInventoryTableConfiguration",
        "PUT /b?metadataInventoryTable",
        P.UPDATE_BUCKET_METADATA_INVENTORY,
        XML,
    ),
    _row(
        "UpdateBucketMetadataJournalTableConfiguration",
        "PUT /b?metadataJournalTable",
        P.UPDATE_BUCKET_METADATA_JOURNAL,
        XML,
    ),
    _row("GetBucketMetricsConfiguration", "GET /b?metrics&id", P.GET_METRICS),
    _row("ListBucketMetricsConfigurations", "GET /b?metrics", P.GET_METRICS),
    _row("PutBucketMetricsConfiguration", "PUT /b?metrics", P.PUT_METRICS, XML),
    _row("DeleteBucketMetricsConfiguration", "DELETE /b?metrics", P.PUT_METRICS),
    _row(
        "GetBucketNotificationConfiguration",
        "GET /b?notification",
        P.GET_BUCKET_NOTIFICATION,
        handler="get_bucket_notification_configuration",
        aliases=("GetBucketNotification",),
    ),
    _row(
        "PutBucketNotificationConfiguration",
        "PUT /b?notification",
        P.PUT_BUCKET_NOTIFICATION,
        XML,
        handler="put_bucket_notification_configuration",
        headers="x-amz-skip-destination-validation",
        aliases=("PutBucketNotification",),
    ),
    _row(
        "GetObjectLockConfiguration",
        "GET /b?object-lock",
        P.GET_BUCKET_OBJECT_LOCK,
        handler="get_object_lock_configuration",
    ),
    _row(
        "PutObjectLockConfiguration",
        "PUT /b?object-lock",
        P.PUT_BUCKET_OBJECT_LOCK,
        XML,
        handler="put_object_lock_configuration",
        headers="x-amz-bucket-object-lock-token",
    ),
    _row(
        "GetBucketOwnershipControls",
        "GET /b?ownershipControls",
        P.GET_BUCKET_OWNERSHIP,
        handler="get_bucket_ownership_controls",
    ),
    _row(
        "PutBucketOwnershipControls",
        "PUT /b?ownershipControls",
        P.PUT_BUCKET_OWNERSHIP,
        XML,
        handler="put_bucket_ownership_controls",
    ),
    _row(
        "DeleteBucketOwnershipControls",
        "DELETE /b?ownershipControls",
        P.PUT_BUCKET_OWNERSHIP,
        handler="delete_bucket_ownership_controls",
    ),
    _row("GetBucketPolicy", "GET /b?policy", P.GET_BUCKET_POLICY, handler="get_bucket_policy"),
    _row(
        "PutBucketPolicy",
        "PUT /b?policy",
        P.PUT_BUCKET_POLICY,
        JSON,
        handler="put_bucket_policy",
        headers="x-amz-confirm-remove-self-bucket-access",
    ),
    _row("DeleteBucketPolicy", "DELETE /b?policy", P.DELETE_BUCKET_POLICY, handler="delete_bucket_policy"),
    _row(
        "GetBucketPolicyStatus", "GET /b?policyStatus", P.GET_BUCKET_POLICY_STATUS, handler="get_bucket_policy_status"
    ),
    _row(
        "GetPublicAccessBlock",
        "GET /b?publicAccessBlock",
        P.GET_BUCKET_PUBLIC_ACCESS_BLOCK,
        handler="get_public_access_block",
    ),
    _row(
        "PutPublicAccessBlock",
        "PUT /b?publicAccessBlock",
        P.PUT_BUCKET_PUBLIC_ACCESS_BLOCK,
        XML,
        handler="put_public_access_block",
    ),
    _row(
        "DeletePublicAccessBlock",
        "DELETE /b?publicAccessBlock",
        P.PUT_BUCKET_PUBLIC_ACCESS_BLOCK,
        handler="delete_public_access_block",
    ),
    _row("GetBucketReplication", "GET /b?replication", P.GET_REPLICATION),
    _row("PutBucketReplication", "PUT /b?replication", P.PUT_REPLICATION, XML),
    _row("DeleteBucketReplication", "DELETE /b?replication", P.PUT_REPLICATION),
    _row(
        "GetBucketRequestPayment",
        "GET /b?requestPayment",
        P.GET_BUCKET_REQUEST_PAYMENT,
        handler="get_bucket_request_payment",
    ),
    _row(
        "PutBucketRequestPayment",
        "PUT /b?requestPayment",
        P.PUT_BUCKET_REQUEST_PAYMENT,
        XML,
        handler="put_bucket_request_payment",
    ),
    _row("GetBucketTagging", "GET /b?tagging", P.GET_BUCKET_TAGGING, handler="get_bucket_tagging"),
    _row("PutBucketTagging", "PUT /b?tagging", P.PUT_BUCKET_TAGGING, XML, handler="put_bucket_tagging"),
    _row("DeleteBucketTagging", "DELETE /b?tagging", P.PUT_BUCKET_TAGGING, handler="delete_bucket_tagging"),
    _row("GetBucketVersioning", "GET /b?versioning", P.GET_BUCKET_VERSIONING, handler="get_bucket_versioning"),
    _row(
        "PutBucketVersioning",
        "PUT /b?versioning",
        P.PUT_BUCKET_VERSIONING,
        XML,
        handler="put_bucket_versioning",
        headers="x-amz-mfa",
    ),
    _row("GetBucketWebsite", "GET /b?website", P.GET_BUCKET_WEBSITE, handler="get_bucket_website"),
    _row("PutBucketWebsite", "PUT /b?website", P.PUT_BUCKET_WEBSITE, XML, handler="put_bucket_website"),
    _row("DeleteBucketWebsite", "DELETE /b?website", P.DELETE_BUCKET_WEBSITE, handler="delete_bucket_website"),
)

OBJECT_ROWS = (
    _row("PutObject", "PUT /b/k", P.PUT_OBJECT, STREAM, handler="put_object", headers=_NEW_OBJECT),
    _row(
        "CopyObject",
        "PUT /b/k",
        P.PUT_OBJECT,
        handler="copy_object",
        source=("x-amz-copy-source",),
        headers=_NEW_OBJECT + _COPY_SOURCE + "x-amz-metadata-directive x-amz-tagging-directive",
    ),
    _row("GetObject", "GET /b/k", P.GET_OBJECT, handler="get_object", optional=_READ_OBJECT, headers=_SSE_C),
    _row("HeadObject", "HEAD /b/k", P.GET_OBJECT, handler="head_object", optional=_READ_OBJECT, headers=_SSE_C),
    _row(
        "DeleteObject",
        "DELETE /b/k",
        P.DELETE_OBJECT,
        handler="delete_object",
        optional="versionId",
        headers="x-amz-mfa x-amz-bypass-governance-retention x-amz-if-match-last-modified-time x-amz-if-match-size",
    ),
    _row(
        "GetObjectAttributes",
        "GET /b/k?attributes",
        P.GET_OBJECT_ATTRIBUTES,
        handler="get_object_attributes",
        optional="versionId",
        headers=_SSE_C + "x-amz-object-attributes x-amz-max-parts x-amz-part-number-marker",
    ),
    _row(
        "CreateMultipartUpload",
        "POST /b/k?uploads",
        P.PUT_OBJECT,
        handler="create_multipart_upload",
        headers=_NEW_OBJECT,
    ),
    _row(
        "UploadPart",
        "PUT /b/k?uploadId&partNumber",
        P.PUT_OBJECT,
        STREAM,
        handler="upload_part",
        headers=_SSE_C + _AS_BEGUN,
    ),
    _row(
        "UploadPartCopy",
        "PUT /b/k?uploadId&partNumber",
        P.PUT_OBJECT,
        handler="upload_part_copy",
        source=("x-amz-copy-source",),
        headers=_SSE_C + _AS_BEGUN + _COPY_SOURCE + "x-amz-copy-source-range",
    ),
    _row(
        "CompleteMultipartUpload",
        "POST /b/k?uploadId",
        P.PUT_OBJECT,
        XML,
        handler="complete_multipart_upload",
        headers=_SSE_C + _AS_BEGUN + "x-amz-mp-object-size",
    ),
    _row("AbortMultipartUpload", "DELETE /b/k?uploadId", P.ABORT_MULTIPART_UPLOAD, handler="abort_multipart_upload"),
    _row(
        "ListParts",
        "GET /b/k?uploadId",
        P.LIST_MULTIPART_UPLOAD_PARTS,
        handler="list_parts",
        optional="max-parts part-number-marker",
        headers=_SSE_C,
    ),
    _row("GetObjectAcl", "GET /b/k?acl", P.GET_OBJECT_ACL, handler="get_object_acl", optional="versionId"),
    _row(
        "PutObjectAcl",
        "PUT /b/k?acl",
        P.PUT_OBJECT_ACL,
        XML,
        handler="put_object_acl",
        optional="versionId",
        headers=_GRANTS,
    ),
    _row("GetObjectAnnotation", "GET /b/k?annotation&annotationName", P.GET_OBJECT_ANNOTATION),
    _row("ListObjectAnnotations", "GET /b/k?annotation", P.LIST_OBJECT_ANNOTATIONS),
    _row("PutObjectAnnotation", "PUT /b/k?annotation", P.PUT_OBJECT_ANNOTATION, STREAM),
    _row("DeleteObjectAnnotation", "DELETE /b/k?annotation", P.DELETE_OBJECT_ANNOTATION),
    _row(
        "GetObjectLegalHold",
        "GET /b/k?legal-hold",
        P.GET_OBJECT_LEGAL_HOLD,
        handler="get_object_legal_hold",
        optional="versionId",
    ),
    _row(
        "PutObjectLegalHold",
        "PUT /b/k?legal-hold",
        P.PUT_OBJECT_LEGAL_HOLD,
        XML,
        handler="put_object_legal_hold",
        optional="versionId",
    ),
    _row(
        "GetObjectRetention",
        "GET /b/k?retention",
        P.GET_OBJECT_RETENTION,
        handler="get_object_retention",
        optional="versionId",
    ),
    _row(
        "PutObjectRetention",
        "PUT /b/k?retention",
        P.PUT_OBJECT_RETENTION,
        XML,
        handler="put_object_retention",
        optional="versionId",
        headers="x-amz-bypass-governance-retention",
    ),
    _row(
        "GetObjectTagging",
        "GET /b/k?tagging",
        P.GET_OBJECT_TAGGING,
        handler="get_object_tagging",
        optional="versionId",
    ),
    _row(
        "PutObjectTagging",
        "PUT /b/k?tagging",
        P.PUT_OBJECT_TAGGING,
        XML,
        handler="put_object_tagging",
        optional="versionId",
    ),
    _row(
        "DeleteObjectTagging",
        "DELETE /b/k?tagging",
        P.DELETE_OBJECT_TAGGING,
        handler="delete_object_tagging",
        optional="versionId",
    ),
    _row("GetObjectTorrent", "GET /b/k?torrent", P.GET_OBJECT_TORRENT),
    _row("RenameObject", "PUT /b/k?renameObject", P.PUT_OBJECT),
    _row("RestoreObject", "POST /b/k?restore", P.RESTORE_OBJECT, XML, handler="restore_object", optional="versionId"),
    _row("SelectObjectContent", "POST /b/k?select&select-type=2", P.GET_OBJECT, XML),
    _row("UpdateObjectEncryption", "PUT /b/k?encryption", P.UPDATE_OBJECT_ENCRYPTION, XML),
)

OPERATIONS = SERVICE_ROWS + BUCKET_ROWS + OBJECT_ROWS

# The first words of S3's header names, those of rows without a handler too: whatever begins so may mean something.
HEADER_KINDS = words("client confirm create fwd rename skip write") | {
    name.split("-")[2] for row in OPERATIONS for name in row.headers if name.startswith("x-amz-")
}
