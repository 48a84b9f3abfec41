"""What an operation needs to be allowed, and on what: the words of policies, as enums (pure).

The values are the action names that bucket and user policies are written in, so a policy is matched on `.value`.
"""

from __future__ import annotations

from enum import Enum, StrEnum, auto


class ResourceKind(Enum):
    """What a permission is asked on: the account's store, one bucket, or one key in it."""

    SERVICE = auto()
    BUCKET = auto()
    OBJECT = auto()


class Permission(StrEnum):
    ABORT_MULTIPART_UPLOAD = "s3:AbortMultipartUpload"
    BYPASS_GOVERNANCE_RETENTION = "s3:BypassGovernanceRetention"
    CREATE_BUCKET = "s3:CreateBucket"
    CREATE_SESSION = "s3express:CreateSession"
    DELETE_BUCKET = "s3:DeleteBucket"
    DELETE_BUCKET_POLICY = "s3:DeleteBucketPolicy"
    DELETE_BUCKET_WEBSITE = "s3:DeleteBucketWebsite"
    DELETE_OBJECT = "s3:DeleteObject"
    DELETE_OBJECT_ANNOTATION = "s3:DeleteObjectAnnotation"
    DELETE_OBJECT_TAGGING = "s3:DeleteObjectTagging"
    DELETE_OBJECT_VERSION = "s3:DeleteObjectVersion"
    DELETE_OBJECT_VERSION_TAGGING = "s3:DeleteObjectVersionTagging"
    GET_ACCELERATE_CONFIGURATION = "s3:GetAccelerateConfiguration"
    GET_ANALYTICS_CONFIGURATION = "s3:GetAnalyticsConfiguration"
    GET_BUCKET_ABAC = "s3:GetBucketAbac"
    GET_BUCKET_ACL = "s3:GetBucketAcl"
    GET_BUCKET_CORS = "s3:GetBucketCORS"
    GET_BUCKET_LOCATION = "s3:GetBucketLocation"
    GET_BUCKET_LOGGING = "s3:GetBucketLogging"
    GET_BUCKET_METADATA_TABLE = "s3:GetBucketMetadataTableConfiguration"
    GET_BUCKET_NOTIFICATION = "s3:GetBucketNotification"
    GET_BUCKET_OBJECT_LOCK = "s3:GetBucketObjectLockConfiguration"
    GET_BUCKET_OWNERSHIP = "s3:GetBucketOwnershipControls"
    GET_BUCKET_POLICY = "s3:GetBucketPolicy"
    GET_BUCKET_POLICY_STATUS = "s3:GetBucketPolicyStatus"
    GET_BUCKET_PUBLIC_ACCESS_BLOCK = "s3:GetBucketPublicAccessBlock"
    GET_BUCKET_REQUEST_PAYMENT = "s3:GetBucketRequestPayment"
    GET_BUCKET_TAGGING = "s3:GetBucketTagging"
    GET_BUCKET_VERSIONING = "s3:GetBucketVersioning"
    GET_BUCKET_WEBSITE = "s3:GetBucketWebsite"
    GET_ENCRYPTION_CONFIGURATION = "s3:GetEncryptionConfiguration"
    GET_INTELLIGENT_TIERING = "s3:GetIntelligentTieringConfiguration"
    GET_INVENTORY = "s3:GetInventoryConfiguration"
    GET_LIFECYCLE = "s3:GetLifecycleConfiguration"
    GET_METRICS = "s3:GetMetricsConfiguration"
    GET_OBJECT = "s3:GetObject"
    GET_OBJECT_ACL = "s3:GetObjectAcl"
    GET_OBJECT_ANNOTATION = "s3:GetObjectAnnotation"
    GET_OBJECT_ATTRIBUTES = "s3:GetObjectAttributes"
    GET_OBJECT_LEGAL_HOLD = "s3:GetObjectLegalHold"
    GET_OBJECT_RETENTION = "s3:GetObjectRetention"
    GET_OBJECT_TAGGING = "s3:GetObjectTagging"
    GET_OBJECT_TORRENT = "s3:GetObjectTorrent"
    GET_OBJECT_VERSION = "s3:GetObjectVersion"
    GET_OBJECT_VERSION_ACL = "s3:GetObjectVersionAcl"
    GET_OBJECT_VERSION_ATTRIBUTES = "s3:GetObjectVersionAttributes"
    GET_OBJECT_VERSION_TAGGING = "s3:GetObjectVersionTagging"
    GET_REPLICATION = "s3:GetReplicationConfiguration"
    LIST_ALL_DIRECTORY_BUCKETS = "s3express:ListAllMyDirectoryBuckets"
    LIST_ALL_MY_BUCKETS = "s3:ListAllMyBuckets"
    LIST_BUCKET = "s3:ListBucket"
    LIST_BUCKET_MULTIPART_UPLOADS = "s3:ListBucketMultipartUploads"
    LIST_BUCKET_VERSIONS = "s3:ListBucketVersions"
    LIST_MULTIPART_UPLOAD_PARTS = "s3:ListMultipartUploadParts"
    LIST_OBJECT_ANNOTATIONS = "s3:ListObjectAnnotations"
    PUT_ACCELERATE_CONFIGURATION = "s3:PutAccelerateConfiguration"
    PUT_ANALYTICS_CONFIGURATION = "s3:PutAnalyticsConfiguration"
    PUT_BUCKET_ABAC = "s3:PutBucketAbac"
    PUT_BUCKET_ACL = "s3:PutBucketAcl"
    PUT_BUCKET_CORS = "s3:PutBucketCORS"
    PUT_BUCKET_LOGGING = "s3:PutBucketLogging"
    PUT_BUCKET_METADATA_TABLE = "s3:CreateBucketMetadataTableConfiguration"
    DELETE_BUCKET_METADATA_TABLE = "s3:DeleteBucketMetadataTableConfiguration"
    UPDATE_BUCKET_METADATA_ANNOTATION = "s3:UpdateBucketMetadataAnnotationTableConfiguration"
    UPDATE_BUCKET_METADATA_INVENTORY = "s3:UpdateBucketMetadataInventoryTableConfiguration"
    UPDATE_BUCKET_METADATA_JOURNAL = "s3:UpdateBucketMetadataJournalTableConfiguration"
    PUT_BUCKET_NOTIFICATION = "s3:PutBucketNotification"
    PUT_BUCKET_OBJECT_LOCK = "s3:PutBucketObjectLockConfiguration"
    PUT_BUCKET_OWNERSHIP = "s3:PutBucketOwnershipControls"
    PUT_BUCKET_POLICY = "s3:PutBucketPolicy"
    PUT_BUCKET_PUBLIC_ACCESS_BLOCK = "s3:PutBucketPublicAccessBlock"
    PUT_BUCKET_REQUEST_PAYMENT = "s3:PutBucketRequestPayment"
    PUT_BUCKET_TAGGING = "s3:PutBucketTagging"
    PUT_BUCKET_VERSIONING = "s3:PutBucketVersioning"
    PUT_BUCKET_WEBSITE = "s3:PutBucketWebsite"
    PUT_ENCRYPTION_CONFIGURATION = "s3:PutEncryptionConfiguration"
    PUT_INTELLIGENT_TIERING = "s3:PutIntelligentTieringConfiguration"
    PUT_INVENTORY = "s3:PutInventoryConfiguration"
    PUT_LIFECYCLE = "s3:PutLifecycleConfiguration"
    PUT_METRICS = "s3:PutMetricsConfiguration"
    PUT_OBJECT = "s3:PutObject"
    PUT_OBJECT_ACL = "s3:PutObjectAcl"
    PUT_OBJECT_ANNOTATION = "s3:PutObjectAnnotation"
    PUT_OBJECT_LEGAL_HOLD = "s3:PutObjectLegalHold"
    PUT_OBJECT_RETENTION = "s3:PutObjectRetention"
    PUT_OBJECT_TAGGING = "s3:PutObjectTagging"
    PUT_OBJECT_VERSION_ACL = "s3:PutObjectVersionAcl"
    PUT_OBJECT_VERSION_TAGGING = "s3:PutObjectVersionTagging"
    PUT_REPLICATION = "s3:PutReplicationConfiguration"
    RESTORE_OBJECT = "s3:RestoreObject"
    UPDATE_OBJECT_ENCRYPTION = "s3:UpdateObjectEncryption"
    WRITE_GET_OBJECT_RESPONSE = "s3-object-lambda:WriteGetObjectResponse"


_OF_A_VERSION = {
    Permission.DELETE_OBJECT: Permission.DELETE_OBJECT_VERSION,
    Permission.DELETE_OBJECT_TAGGING: Permission.DELETE_OBJECT_VERSION_TAGGING,
    Permission.GET_OBJECT: Permission.GET_OBJECT_VERSION,
    Permission.GET_OBJECT_ACL: Permission.GET_OBJECT_VERSION_ACL,
    Permission.GET_OBJECT_ATTRIBUTES: Permission.GET_OBJECT_VERSION_ATTRIBUTES,
    Permission.GET_OBJECT_TAGGING: Permission.GET_OBJECT_VERSION_TAGGING,
    Permission.PUT_OBJECT_ACL: Permission.PUT_OBJECT_VERSION_ACL,
    Permission.PUT_OBJECT_TAGGING: Permission.PUT_OBJECT_VERSION_TAGGING,
}


def of_a_version(permission: Permission) -> Permission:
    """The permission that the same operation needs when its request names a versionId."""
    return _OF_A_VERSION.get(permission, permission)
