from __future__ import annotations

from typing import Any

import botocore.parsers
import botocore.session
import pytest

from cyxcloud.objects import acl
from s3gw.configuration.acl import AclDocument, GrantLine, parse, render
from s3gw.documents import Owner
from s3gw.errors import Code, S3Error

GRANT = (
    '<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>a</ID>'
    "<DisplayName>A</DisplayName></Grantee><Permission>READ</Permission></Grant>"
)


def policy(grants: str, owner: str = "<Owner><ID>o</ID><DisplayName>O</DisplayName></Owner>") -> bytes:
    namespace = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    listed = f"<AccessControlList>{grants}</AccessControlList>"
    return f"<AccessControlPolicy {namespace}>{owner}{listed}</AccessControlPolicy>".encode()


def test_parse_reads_each_kind_of_grantee() -> None:
    group = f"<Grant><Grantee><URI>{acl.ALL_USERS}</URI></Grantee><Permission>WRITE</Permission></Grant>"
    mail = "<Grant><Grantee><EmailAddress>a@b</EmailAddress></Grantee><Permission>READ_ACP</Permission></Grant>"
    assert parse(policy(GRANT + group + mail)) == AclDocument(
        "o",
        (
            GrantLine("id", "a", "READ"),
            GrantLine("uri", acl.ALL_USERS, "WRITE"),
            GrantLine("emailaddress", "a@b", "READ_ACP"),
        ),
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<AccessControlPolicy/>",
        policy("", owner=""),
        policy("", owner="<Owner/>"),
        policy("", owner="<Owner><ID/></Owner>"),
        policy(GRANT.replace("READ", "LOOK")),
        policy(GRANT.replace("<ID>a</ID>", "")),
        policy(GRANT.replace("<ID>a</ID>", "<ID> </ID>")),
        policy(GRANT.replace("CanonicalUser", "Group")),
        policy(GRANT.replace("CanonicalUser", "Somebody")),
        policy(GRANT.replace("<ID>a</ID>", "<ID>a</ID><URI>b</URI>")),
        policy(GRANT.replace("<Permission>READ</Permission>", "")),
        policy("<Grant><Permission>READ</Permission></Grant>"),
        policy(GRANT * (acl.MAX_GRANTS + 1)),
        policy(GRANT) + b"x",
    ],
)
def test_parse_refuses(body: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        parse(body)
    assert caught.value.code is Code.MALFORMED_ACL


def test_parse_takes_the_most_grants() -> None:
    assert len(parse(policy(GRANT * acl.MAX_GRANTS)).grants) == acl.MAX_GRANTS


def test_render_is_what_clients_read() -> None:
    written = render(
        Owner("o", "<O>"),
        [(Owner(acl.ALL_USERS, ""), "READ"), (Owner("o", "<O>"), "FULL_CONTROL"), (Owner("x", ""), "WRITE")],
    )
    shape = botocore.session.get_session().get_service_model("s3").operation_model("GetBucketAcl").output_shape
    parser = botocore.parsers.create_parser("rest-xml")
    parsed: dict[str, Any] = parser.parse({"headers": {}, "status_code": 200, "body": written}, shape)
    assert parsed["Owner"] == {"ID": "o", "DisplayName": "<O>"}
    assert parsed["Grants"] == [
        {"Grantee": {"Type": "Group", "URI": acl.ALL_USERS}, "Permission": "READ"},
        {"Grantee": {"Type": "CanonicalUser", "ID": "o", "DisplayName": "<O>"}, "Permission": "FULL_CONTROL"},
        {"Grantee": {"Type": "CanonicalUser", "ID": "x"}, "Permission": "WRITE"},
    ]
