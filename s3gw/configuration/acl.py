"""AccessControlPolicy: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAcl.html (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cyxcloud.objects import acl
from s3gw import xml
from s3gw.documents import Owner
from s3gw.errors import Code, S3Error
from s3gw.xml_reader import TEXT, Many, Struct, Value, items, read, text_of

# A hundred grants with ids and names are about 40 KiB.
MAX_BYTES = 128 << 10
_GRANTEE = Struct({"ID": TEXT, "DisplayName": TEXT, "URI": TEXT, "EmailAddress": TEXT}, typed="xsi:type")
_POLICY = Struct(
    {
        "Owner": Struct({"ID": TEXT, "DisplayName": TEXT}),
        "AccessControlList": Struct({"Grant": Many(Struct({"Grantee": _GRANTEE, "Permission": TEXT}), acl.MAX_GRANTS)}),
    }
)
_KINDS = {"ID": "id", "URI": "uri", "EmailAddress": "emailaddress"}
_TYPES = {"ID": "CanonicalUser", "URI": "Group", "EmailAddress": "AmazonCustomerByEmail"}
_SCHEMA = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@dataclass(frozen=True, slots=True)
class GrantLine:
    """One grant as it is written: `kind` (id, uri, emailaddress) of the grantee, and who it is."""

    kind: str
    value: str
    permission: str


@dataclass(frozen=True, slots=True)
class AclDocument:
    """`owner` is a canonical id, or "" where the document names none."""

    owner: str
    grants: tuple[GrantLine, ...]


def parse(body: bytes) -> AclDocument:
    """Raises MalformedACLError."""
    try:
        document = read(body, "AccessControlPolicy", _POLICY, MAX_BYTES)
    except S3Error:
        raise S3Error(Code.MALFORMED_ACL) from None
    owner, listed = document.get("Owner"), document.get("AccessControlList")
    if not isinstance(listed, dict) or not isinstance(owner, dict):
        raise S3Error(Code.MALFORMED_ACL)
    owner_id = text_of(owner, "ID")
    if not owner_id:
        raise S3Error(Code.MALFORMED_ACL)
    return AclDocument(owner_id, tuple([_line(item) for item in items(listed, "Grant")]))


def _line(item: dict[str, Value]) -> GrantLine:
    grantee, permission = item.get("Grantee"), text_of(item, "Permission")
    if not isinstance(grantee, dict) or permission not in acl.PERMISSIONS:
        raise S3Error(Code.MALFORMED_ACL)
    named = [name for name in _KINDS if name in grantee]
    if len(named) != 1 or text_of(grantee, "xsi:type") not in (None, _TYPES[named[0]]):
        raise S3Error(Code.MALFORMED_ACL)
    value = (text_of(grantee, named[0]) or "").strip()
    if not value:
        raise S3Error(Code.MALFORMED_ACL)
    return GrantLine(_KINDS[named[0]], value, permission)


def render(owner: Owner, grants: Sequence[tuple[Owner, str]]) -> bytes:
    """Grantees by their id and name, groups by their URI as the id."""
    lines = "".join(
        [f"<Grant>{grantee(who)}<Permission>{permission}</Permission></Grant>" for who, permission in grants]
    )
    return xml.document(
        "AccessControlPolicy", f"{xml.person('Owner', owner)}<AccessControlList>{lines}</AccessControlList>"
    )


def grantee(who: Owner) -> str:
    if who.id in acl.GROUPS:
        return f'<Grantee {_SCHEMA} xsi:type="Group"><URI>{xml.escape(who.id)}</URI></Grantee>'
    name = xml.optional("DisplayName", xml.escape(who.display_name))
    return f'<Grantee {_SCHEMA} xsi:type="CanonicalUser"><ID>{xml.escape(who.id)}</ID>{name}</Grantee>'
