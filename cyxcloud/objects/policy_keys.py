"""The condition keys that a policy may name (pure).

A known key that this store has no value for (a VPC, an organisation) stands here all the same: to the engine it is
absent, so what demands it is not met. An unknown one is a mistake of the writer's, and is refused.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

from cyxcloud.objects.policy_patterns import key_name

_GLOBAL = """CalledVia CalledViaFirst CalledViaLast CurrentTime Ec2InstanceSourcePrivateIPv4 Ec2InstanceSourceVpc
    EpochTime FederatedProvider MultiFactorAuthAge MultiFactorAuthPresent PrincipalAccount PrincipalArn
    PrincipalIsAWSService PrincipalOrgID PrincipalOrgPaths PrincipalServiceName PrincipalServiceNamesList PrincipalType
    RequestedRegion ResourceAccount ResourceOrgID ResourceOrgPaths SecureTransport SourceAccount SourceArn
    SourceIdentity SourceIp SourceOrgID SourceOrgPaths SourceOwner SourceVpc SourceVpcArn SourceVpce TagKeys
    TokenIssueTime UserAgent VpcSourceIp Referer userid username ViaAWSService"""
_S3 = """AccessGrantsInstanceArn AccessPointNetworkOrigin DataAccessPointAccount DataAccessPointArn
    InventoryAccessibleOptionalFields LocationConstraint ObjectCreationOperation RequestObjectTagKeys ResourceAccount
    TlsVersion authType delimiter if-match if-none-match max-keys object-lock-legal-hold object-lock-mode
    object-lock-remaining-retention-days object-lock-retain-until-date prefix signatureAge signatureversion versionid
    x-amz-acl x-amz-bucket-namespace x-amz-content-sha256 x-amz-copy-source x-amz-grant-full-control x-amz-grant-read
    x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp x-amz-metadata-directive x-amz-object-ownership
    x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id
    x-amz-server-side-encryption-customer-algorithm x-amz-storage-class x-amz-website-redirect-location"""
# Followed by a slash and the name of a tag.
_TAGGED = frozenset(
    (
        "aws:principaltag",
        "aws:requesttag",
        "aws:resourcetag",
        "s3:existingobjecttag",
        "s3:requestobjecttag",
        "s3:buckettag",
    )
)

EXISTING_TAG = "s3:existingobjecttag/"
REQUEST_TAG = "s3:requestobjecttag/"
REQUEST_TAG_KEYS = "s3:requestobjecttagkeys"
BUCKET_TAG = "s3:buckettag/"

_KNOWN = frozenset(f"aws:{name.lower()}" for name in _GLOBAL.split()) | frozenset(
    f"s3:{name.lower()}" for name in _S3.split()
)


def known_key(text: str) -> str | None:
    """The key's name as facts are asked for it; None where there is no such key."""
    key = key_name(text)
    name, slash, tag = key.partition("/")
    if name in _TAGGED:
        return key if slash and tag else None
    return key if key in _KNOWN else None
