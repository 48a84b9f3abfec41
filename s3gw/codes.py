"""The table of every error that the gateway can answer: code, HTTP status and text. The texts are Amazon's (pure)."""

from __future__ import annotations

from enum import Enum


class Code(Enum):
    """Name on the wire, HTTP status, text when the place that raises gives none."""

    ACCESS_DENIED = ("AccessDenied", 403, "Access Denied")
    ACCESS_FORBIDDEN = ("AccessForbidden", 403, "CORSResponse: This CORS request is not allowed.")
    ACCESS_CONTROL_LIST_NOT_SUPPORTED = ("AccessControlListNotSupported", 400, "The bucket does not allow ACLs")
    ACCOUNT_PROBLEM = ("AccountProblem", 403, "There is a problem with your account.")
    AMBIGUOUS_GRANT_BY_EMAIL_ADDRESS = (
        "AmbiguousGrantByEmailAddress",
        400,
        "The email address you provided is associated with more than one account.",
    )
    AUTHORIZATION_HEADER_MALFORMED = (
        "AuthorizationHeaderMalformed",
        400,
        "The authorization header you provided is invalid.",
    )
    AUTHORIZATION_QUERY_PARAMETERS_ERROR = (
        "AuthorizationQueryParametersError",
        400,
        "Error parsing the X-Amz-Credential parameter.",
    )
    BAD_DIGEST = ("BadDigest", 400, "The Content-MD5 you specified did not match what we received.")
    BAD_REQUEST = ("BadRequest", 400, "An error occurred when parsing the HTTP request.")
    BUCKET_ALREADY_EXISTS = (
        "BucketAlreadyExists",
        409,
        (
            "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
            "Please select a different name and try again."
        ),
    )
    BUCKET_ALREADY_OWNED_BY_YOU = (
        "BucketAlreadyOwnedByYou",
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    )
    BUCKET_NOT_EMPTY = ("BucketNotEmpty", 409, "The bucket you tried to delete is not empty")
    CONDITIONAL_REQUEST_CONFLICT = (
        "ConditionalRequestConflict",
        409,
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    )
    CREDENTIALS_NOT_SUPPORTED = ("CredentialsNotSupported", 400, "This request does not support credentials.")
    CROSS_LOCATION_LOGGING_PROHIBITED = (
        "CrossLocationLoggingProhibited",
        403,
        "Cross S3 location logging not allowed.",
    )
    ENTITY_TOO_LARGE = ("EntityTooLarge", 400, "Your proposed upload exceeds the maximum allowed size")
    ENTITY_TOO_SMALL = (
        "EntityTooSmall",
        400,
        "Your proposed upload is smaller than the minimum allowed size",
    )
    EXPIRED_TOKEN = ("ExpiredToken", 400, "The provided token has expired.")
    ILLEGAL_LOCATION_CONSTRAINT = (
        "IllegalLocationConstraintException",
        400,
        "The location constraint is incompatible for the region specific endpoint this request was sent to.",
    )
    ILLEGAL_VERSIONING_CONFIGURATION = (
        "IllegalVersioningConfigurationException",
        400,
        "The Versioning element must be specified",
    )
    INCOMPLETE_BODY = (
        "IncompleteBody",
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    )
    INTERNAL_ERROR = ("InternalError", 500, "We encountered an internal error. Please try again.")
    INVALID_ACCESS_KEY_ID = (
        "InvalidAccessKeyId",
        403,
        "The AWS Access Key Id you provided does not exist in our records.",
    )
    INVALID_ARGUMENT = ("InvalidArgument", 400, "Invalid Argument")
    INVALID_BUCKET_ACL_WITH_OBJECT_OWNERSHIP = (
        "InvalidBucketAclWithObjectOwnership",
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    )
    INVALID_BUCKET_NAME = ("InvalidBucketName", 400, "The specified bucket is not valid.")
    INVALID_BUCKET_STATE = (
        "InvalidBucketState",
        409,
        "The request is not valid with the current state of the bucket.",
    )
    INVALID_CHUNK_SIZE = (
        "InvalidChunkSizeError",
        400,
        "Only the last chunk is allowed to have a size less than 8192 bytes",
    )
    INVALID_DIGEST = ("InvalidDigest", 400, "The Content-MD5 you specified was invalid.")
    INVALID_ENCRYPTION_ALGORITHM = (
        "InvalidEncryptionAlgorithmError",
        400,
        "The Encryption request you specified is not valid. Supported value: AES256.",
    )
    INVALID_LOCATION_CONSTRAINT = (
        "InvalidLocationConstraint",
        400,
        "The specified location-constraint is not valid",
    )
    INVALID_OBJECT_STATE = (
        "InvalidObjectState",
        403,
        "The operation is not valid for the object's storage class",
    )
    INVALID_PART = (
        "InvalidPart",
        400,
        (
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
            "specified entity tag may not match the part's entity tag."
        ),
    )
    INVALID_PART_NUMBER = ("InvalidPartNumber", 416, "The requested partnumber is not satisfiable")
    INVALID_PART_ORDER = (
        "InvalidPartOrder",
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    )
    INVALID_POLICY_DOCUMENT = (
        "InvalidPolicyDocument",
        400,
        "The content of the form does not meet the conditions specified in the policy document.",
    )
    INVALID_RANGE = ("InvalidRange", 416, "The requested range is not satisfiable")
    INVALID_REDIRECT_LOCATION = (
        "InvalidRedirectLocation",
        400,
        "The website redirect location is not valid.",
    )
    INVALID_REQUEST = ("InvalidRequest", 400, "Invalid Request")
    INVALID_RETENTION_PERIOD = (
        "InvalidRetentionPeriod",
        400,
        "Default retention period must be a positive integer value",
    )
    INVALID_S3_DESTINATION_BUCKET = (
        "InvalidS3DestinationBucket",
        400,
        "The destination bucket of the inventory is not valid or does not exist.",
    )
    INVALID_SECURITY = ("InvalidSecurity", 403, "The provided security credentials are not valid.")
    INVALID_STORAGE_CLASS = ("InvalidStorageClass", 400, "The storage class you specified is not valid")
    INVALID_TAG = ("InvalidTag", 400, "The tag provided was not a valid tag.")
    INVALID_TARGET_BUCKET_FOR_LOGGING = (
        "InvalidTargetBucketForLogging",
        400,
        "The target bucket for logging does not exist",
    )
    INVALID_TOKEN = ("InvalidToken", 400, "The provided token is malformed or otherwise invalid.")
    INVALID_URI = ("InvalidURI", 400, "Couldn't parse the specified URI.")
    INVALID_VERSION = ("InvalidVersion", 400, "Invalid version id specified")
    INVALID_WRITE_OFFSET = ("InvalidWriteOffset", 400, "The write offset value that you specified does not match.")
    KEY_TOO_LONG = ("KeyTooLongError", 400, "Your key is too long")
    KMS_DISABLED = (
        "KMS.DisabledException",
        400,
        "The request was rejected because the specified KMS key is not enabled.",
    )
    KMS_NOT_FOUND = (
        "KMS.NotFoundException",
        400,
        "The request was rejected because the specified entity or resource could not be found.",
    )
    MALFORMED_ACL = (
        "MalformedACLError",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
    MALFORMED_POLICY = ("MalformedPolicy", 400, "Policies must be valid JSON and the first byte must be '{'")
    MALFORMED_POST_REQUEST = (
        "MalformedPOSTRequest",
        400,
        "The body of your POST request is not well-formed multipart/form-data.",
    )
    MALFORMED_TRAILER = (
        "MalformedTrailerError",
        400,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    )
    MALFORMED_XML = (
        "MalformedXML",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
    MAX_MESSAGE_LENGTH_EXCEEDED = ("MaxMessageLengthExceeded", 400, "Your request was too big.")
    MAX_POST_PRE_DATA_LENGTH_EXCEEDED = (
        "MaxPostPreDataLengthExceededError",
        400,
        "Your POST request fields preceding the upload file were too large.",
    )
    METADATA_TOO_LARGE = (
        "MetadataTooLarge",
        400,
        "Your metadata headers exceed the maximum allowed metadata size",
    )
    METHOD_NOT_ALLOWED = ("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
    MISSING_CONTENT_LENGTH = ("MissingContentLength", 411, "You must provide the Content-Length HTTP header.")
    MISSING_REQUEST_BODY = ("MissingRequestBodyError", 400, "Request body is empty.")
    MISSING_SECURITY_HEADER = ("MissingSecurityHeader", 400, "Your request was missing a required header")
    NO_LOGGING_STATUS_FOR_KEY = ("NoLoggingStatusForKey", 400, "There is no logging status for this key.")
    NO_SUCH_BUCKET = ("NoSuchBucket", 404, "The specified bucket does not exist")
    NO_SUCH_BUCKET_POLICY = ("NoSuchBucketPolicy", 404, "The bucket policy does not exist")
    NO_SUCH_CONFIGURATION = ("NoSuchConfiguration", 404, "The specified configuration does not exist.")
    NO_SUCH_CORS_CONFIGURATION = ("NoSuchCORSConfiguration", 404, "The CORS configuration does not exist")
    NO_SUCH_KEY = ("NoSuchKey", 404, "The specified key does not exist.")
    NO_SUCH_LIFECYCLE_CONFIGURATION = (
        "NoSuchLifecycleConfiguration",
        404,
        "The lifecycle configuration does not exist",
    )
    NO_SUCH_OBJECT_LOCK_CONFIGURATION = (
        "NoSuchObjectLockConfiguration",
        404,
        "The specified object does not have a ObjectLock configuration",
    )
    NO_SUCH_PUBLIC_ACCESS_BLOCK = (
        "NoSuchPublicAccessBlockConfiguration",
        404,
        "The public access block configuration was not found",
    )
    NO_SUCH_TAG_SET = ("NoSuchTagSet", 404, "The TagSet does not exist")
    NO_SUCH_UPLOAD = (
        "NoSuchUpload",
        404,
        (
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
            "completed."
        ),
    )
    NO_SUCH_VERSION = ("NoSuchVersion", 404, "The specified version does not exist.")
    NO_SUCH_WEBSITE_CONFIGURATION = (
        "NoSuchWebsiteConfiguration",
        404,
        "The specified bucket does not have a website configuration",
    )
    NOT_IMPLEMENTED = (
        "NotImplemented",
        501,
        "A header you provided implies functionality that is not implemented",
    )
    NOT_MODIFIED = ("NotModified", 304, "Not Modified")
    OBJECT_LOCK_CONFIGURATION_NOT_FOUND = (
        "ObjectLockConfigurationNotFoundError",
        404,
        "Object Lock configuration does not exist for this bucket",
    )
    OPERATION_ABORTED = (
        "OperationAborted",
        409,
        "A conflicting conditional operation is currently in progress against this resource. Please try again.",
    )
    OWNERSHIP_CONTROLS_NOT_FOUND = (
        "OwnershipControlsNotFoundError",
        404,
        "The bucket ownership controls were not found",
    )
    PERMANENT_REDIRECT = (
        "PermanentRedirect",
        301,
        (
            "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all "
            "future requests to this endpoint."
        ),
    )
    PRECONDITION_FAILED = (
        "PreconditionFailed",
        412,
        "At least one of the pre-conditions you specified did not hold",
    )
    QUOTA_EXCEEDED = ("QuotaExceeded", 403, "The quota of this bucket or account is exceeded")
    REPLICATION_CONFIGURATION_NOT_FOUND = (
        "ReplicationConfigurationNotFoundError",
        404,
        "The replication configuration was not found",
    )
    REQUEST_HEADER_SECTION_TOO_LARGE = (
        "RequestHeaderSectionTooLarge",
        400,
        "Your request header section exceeds the maximum allowed request header section size.",
    )
    REQUEST_IS_NOT_MULTIPART_CONTENT = (
        "RequestIsNotMultiPartContent",
        412,
        "Bucket POST must be of the enclosure-type multipart/form-data.",
    )
    REQUEST_TIME_TOO_SKEWED = (
        "RequestTimeTooSkewed",
        403,
        "The difference between the request time and the current time is too large.",
    )
    REQUEST_TIMEOUT = (
        "RequestTimeout",
        400,
        "Your socket connection to the server was not read from or written to within the timeout period.",
    )
    RESTORE_ALREADY_IN_PROGRESS = ("RestoreAlreadyInProgress", 409, "Object restore is already in progress")
    SERVER_SIDE_ENCRYPTION_CONFIGURATION_NOT_FOUND = (
        "ServerSideEncryptionConfigurationNotFoundError",
        404,
        "The server side encryption configuration was not found",
    )
    SERVICE_UNAVAILABLE = ("ServiceUnavailable", 503, "Please reduce your request rate.")
    SIGNATURE_DOES_NOT_MATCH = (
        "SignatureDoesNotMatch",
        403,
        (
            "The request signature we calculated does not match the signature you provided. Check your key and signing "
            "method."
        ),
    )
    SLOW_DOWN = ("SlowDown", 503, "Please reduce your request rate.")
    STORAGE_FULL = ("InsufficientStorage", 507, "There is not enough free space to store the object.")
    TOO_MANY_BUCKETS = ("TooManyBuckets", 400, "You have attempted to create more buckets than allowed")
    TOO_MANY_CONFIGURATIONS = (
        "TooManyConfigurations",
        400,
        "You are attempting to create a new configuration but have already reached the 1,000-configuration limit.",
    )
    UNEXPECTED_CONTENT = ("UnexpectedContent", 400, "This request does not support content")
    UNRESOLVABLE_GRANT_BY_EMAIL_ADDRESS = (
        "UnresolvableGrantByEmailAddress",
        400,
        "The email address you provided does not match any account on record.",
    )
    UNSUPPORTED_SIGNATURE = (
        "UnsupportedSignature",
        400,
        (
            "The provided request is signed with an unsupported STS Token version or the signature version is not "
            "supported."
        ),
    )
    USER_KEY_MUST_BE_SPECIFIED = (
        "UserKeyMustBeSpecified",
        400,
        "The bucket POST must contain the specified field name. If it is specified, check the order of the fields.",
    )
    X_AMZ_CONTENT_SHA256_MISMATCH = (
        "XAmzContentSHA256Mismatch",
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )

    def __init__(self, text: str, status: int, message: str) -> None:
        self.text = text
        self.status = status
        self.message = message
