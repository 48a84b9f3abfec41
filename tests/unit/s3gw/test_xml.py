"""Documents against whole literals, and all of them through botocore's own parser of S3's answers."""

from __future__ import annotations

import time
from typing import Any

import botocore.parsers
import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyxcloud.core.ids import AccountId
from cyxcloud.meta.rows import ListedObject
from cyxcloud.objects.attributes import Checksum, PartInfo
from s3gw import xml
from s3gw.documents import (
    AttributesPage,
    BucketLine,
    DeletedLine,
    FailedLine,
    ObjectPage,
    Owner,
    PartLine,
    PartPage,
    UploadLine,
    UploadPage,
    VersionLine,
    VersionPage,
)
from s3gw.errors import Code, S3Error

OWNER = Owner("testid", 'M. "Tester" & <Co>')
OTHER = Owner("alt", "john.doe")
THEN = 1_700_000_000_999
ETAG = "d41d8cd98f00b204e9800998ecf8427e"
CRC32 = Checksum("CRC32", "AAAAAA==")
SHAPES = botocore.session.get_session().get_service_model("s3")
ODD = b"a+b/ \xc3\xa4&<>\"'%\r\n"


def parse(operation: str, body: bytes) -> dict[str, Any]:
    parser = botocore.parsers.create_parser("rest-xml")
    response = {"headers": {}, "status_code": 200, "body": body}
    shape = SHAPES.operation_model(operation).output_shape
    parsed: dict[str, Any] = parser.parse(response, shape)
    del parsed["ResponseMetadata"]
    return parsed


def listed(key: bytes, size: int, etag: str, modified_ms: int, checksum: int = 0) -> ListedObject:
    return ListedObject(key, size, etag, modified_ms, AccountId(1), "STANDARD", checksum)


def page(**changes: Any) -> ObjectPage:
    lines = (listed(b"a", 1, ETAG, THEN),)
    given: dict[str, Any] = {"prefix": "", "delimiter": "", "max_keys": 1000, "truncated": False, "lines": lines}
    return ObjectPage("bucket", **(given | changes))


def test_list_objects_v2_document() -> None:
    written = xml.list_objects_v2(
        page(prefix="p/", delimiter="/", truncated=True, common_prefixes=(b"p/q/",), owners=[Owner("o", "O")]),
        continuation_token="t1",
        next_token="t2",
        start_after="p/a",
    )
    assert written.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix>p/</Prefix>'
        "<StartAfter>p/a</StartAfter><ContinuationToken>t1</ContinuationToken>"
        "<NextContinuationToken>t2</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>"
        "<Delimiter>/</Delimiter><IsTruncated>true</IsTruncated>"
        "<Contents><Key>a</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified>"
        f"<ETag>&quot;{ETAG}&quot;</ETag><Size>1</Size><Owner><ID>o</ID><DisplayName>O</DisplayName></Owner>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        "<CommonPrefixes><Prefix>p/q/</Prefix></CommonPrefixes></ListBucketResult>"
    )


def test_list_objects_document() -> None:
    written = xml.list_objects(page(lines=(), delimiter="/"), marker="m", next_marker=b"n")
    assert written.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix></Prefix>'
        "<Marker>m</Marker><NextMarker>n</NextMarker><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter>"
        "<IsTruncated>false</IsTruncated></ListBucketResult>"
    )


def test_list_objects_escapes_or_encodes_odd_keys() -> None:
    lines = (listed(b"plain", 0, ETAG, THEN), listed(ODD, 0, ETAG, THEN))
    for url_encode in (False, True):
        found = page(lines=lines, prefix="a+", delimiter="&", common_prefixes=(ODD,), url_encode=url_encode)
        parsed = parse("ListObjectsV2", xml.list_objects_v2(found, start_after="a b"))
        keys = [line["Key"] for line in parsed["Contents"]]
        encoded = "a%2Bb/%20%C3%A4%26%3C%3E%22%27%25%0D%0A"
        assert keys == ["plain", encoded if url_encode else ODD.decode()]
        assert parsed["CommonPrefixes"] == [{"Prefix": keys[1]}]
        assert parsed["Prefix"] == ("a%2B" if url_encode else "a+")
        assert parsed["StartAfter"] == ("a%20b" if url_encode else "a b")
        assert parsed.get("EncodingType") == ("url" if url_encode else None)


def test_list_objects_writes_control_characters_as_references() -> None:
    line = listed(b"\x00\x01\xef\xbf\xbf", 0, ETAG, THEN)
    assert b"<Key>&#x0;&#x1;&#xffff;</Key>" in xml.list_objects(page(lines=(line,)))
    assert b"<Key>%00%01%EF%BF%BF</Key>" in xml.list_objects(page(lines=(line,), url_encode=True))


@given(st.lists(st.text(max_size=40), max_size=4))
def test_list_objects_round_trips_any_key_by_url_encoding(keys: list[str]) -> None:
    from urllib.parse import unquote_plus  # what botocore decodes with

    lines = [listed(key.encode(), 0, ETAG, THEN) for key in keys]
    parsed = parse("ListObjects", xml.list_objects(page(lines=lines, url_encode=True)))
    assert [unquote_plus(line.get("Key", "")) for line in parsed.get("Contents", [])] == keys


def test_list_buckets_document() -> None:
    written = xml.list_buckets(OWNER, [BucketLine("b1", THEN, "eu")], prefix="b", continuation_token="t")
    parsed = parse("ListBuckets", written)
    bucket = parsed["Buckets"][0]
    assert (bucket["Name"], bucket["BucketRegion"], bucket["CreationDate"].isoformat()) == (
        "b1",
        "eu",
        "2023-11-14T22:13:20+00:00",
    )
    assert parsed["Owner"] == {"ID": OWNER.id, "DisplayName": OWNER.display_name}
    assert (parsed["Prefix"], parsed["ContinuationToken"]) == ("b", "t")


def test_location_constraint_document() -> None:
    for region in ("", "eu-central-1"):
        assert xml.location_constraint(region).decode() == (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{region}</LocationConstraint>'
        )


def test_multipart_documents() -> None:
    assert parse("CreateMultipartUpload", xml.initiate_multipart_upload("b", ODD, "u")) == {
        "Bucket": "b",
        "Key": ODD.decode(),
        "UploadId": "u",
    }
    whole = Checksum("CRC64NVME", "AAA=", "FULL_OBJECT")
    assert parse("CompleteMultipartUpload", xml.complete_multipart_upload("http://h/b/k", "b", b"k", "e-2", whole)) == {
        "Location": "http://h/b/k",
        "Bucket": "b",
        "Key": "k",
        "ETag": '"e-2"',
        "ChecksumCRC64NVME": "AAA=",
        "ChecksumType": "FULL_OBJECT",
    }


def test_copy_documents() -> None:
    copied = parse("CopyObject", xml.copy_object(ETAG, THEN, Checksum("SHA256", "x=", "COMPOSITE")))["CopyObjectResult"]
    assert (copied["ETag"], copied["ChecksumSHA256"], copied["ChecksumType"]) == (f'"{ETAG}"', "x=", "COMPOSITE")
    part = parse("UploadPartCopy", xml.copy_part(ETAG, THEN, CRC32))["CopyPartResult"]
    assert (part["ETag"], part["ChecksumCRC32"]) == (f'"{ETAG}"', "AAAAAA==")
    assert part["LastModified"] == copied["LastModified"]


def test_list_objects_names_the_checksum_of_each() -> None:
    lines = [listed(b"none", 1, ETAG, THEN), listed(b"whole", 1, ETAG, THEN, 3), listed(b"parts", 1, ETAG, THEN, 21)]
    shown = parse("ListObjectsV2", xml.list_objects_v2(page(lines=lines)))["Contents"]
    assert [(each.get("ChecksumAlgorithm"), each.get("ChecksumType")) for each in shown] == [
        (None, None),
        (["CRC64NVME"], "FULL_OBJECT"),
        (["SHA256"], "COMPOSITE"),
    ]


def test_list_versions_document() -> None:
    lines = [
        VersionLine(b"a&", "0000000100000002", False, True, THEN, ETAG, 5, "STANDARD", 1, OWNER),
        VersionLine(b"b", "null", True, False, THEN, "", 0, "", 0, OTHER),
    ]
    found = VersionPage(
        bucket="bucket",
        prefix="",
        delimiter="/",
        key_marker="k",
        version_id_marker="null",
        max_keys=2,
        truncated=True,
        lines=lines,
        common_prefixes=(b"c/",),
        next_key_marker=b"c/",
    )
    written = xml.list_versions(found).decode()
    assert written.startswith(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix></Prefix>'
        "<KeyMarker>k</KeyMarker><VersionIdMarker>null</VersionIdMarker><NextKeyMarker>c/</NextKeyMarker>"
        "<MaxKeys>2</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated>"
        "<Version><Key>a&amp;</Key><VersionId>0000000100000002</VersionId><IsLatest>true</IsLatest>"
    )
    parsed = parse("ListObjectVersions", written.encode())
    (version,), (marker,) = parsed["Versions"], parsed["DeleteMarkers"]
    assert (version["ETag"], version["Size"], version["ChecksumAlgorithm"]) == (f'"{ETAG}"', 5, ["CRC32"])
    assert (version["Owner"]["ID"], marker["Owner"]["ID"], marker["IsLatest"]) == ("testid", "alt", False)
    assert parsed["CommonPrefixes"] == [{"Prefix": "c/"}]


def test_list_objects_names_each_owner_or_one_for_all() -> None:
    lines = tuple(listed(key, 1, ETAG, THEN) for key in (b"a", b"b", b"c"))
    mixed = parse("ListObjects", xml.list_objects(page(lines=lines, owners=[OWNER, OTHER, OWNER])))
    assert [each["Owner"]["ID"] for each in mixed["Contents"]] == ["testid", "alt", "testid"]
    same = parse("ListObjects", xml.list_objects(page(lines=lines, owners=[OTHER])))
    assert [each["Owner"]["ID"] for each in same["Contents"]] == ["alt"] * 3
    without = parse("ListObjectsV2", xml.list_objects_v2(page(lines=lines)))
    assert [each.get("Owner") for each in without["Contents"]] == [None] * 3


def test_list_parts_document() -> None:
    lines = (PartLine(2, 5, "e2", THEN, CRC32), PartLine(4, 6, "e4", THEN, None))
    written = xml.list_parts(PartPage("b", ODD, "u", OWNER, OTHER, "STANDARD", 1, 2, True, lines, "CRC32", "COMPOSITE"))
    parsed = parse("ListParts", written)
    assert [
        (part["PartNumber"], part["Size"], part["ETag"], part.get("ChecksumCRC32")) for part in parsed["Parts"]
    ] == [
        (2, 5, '"e2"', "AAAAAA=="),
        (4, 6, '"e4"', None),
    ]
    assert (parsed["NextPartNumberMarker"], parsed["PartNumberMarker"], parsed["MaxParts"]) == (4, 1, 2)
    assert (parsed["IsTruncated"], parsed["ChecksumAlgorithm"], parsed["Key"]) == (True, "CRC32", ODD.decode())
    assert (parsed["Owner"]["DisplayName"], parsed["Initiator"]["ID"]) == (OWNER.display_name, "alt")
    empty = PartPage("b", b"k", "u", OWNER, OWNER, "STANDARD", 0, 1000, False, ())
    assert "Parts" not in parse("ListParts", xml.list_parts(empty))


def test_list_multipart_uploads_document() -> None:
    lines = (
        UploadLine(ODD, "u1", THEN, "STANDARD", "CRC32", "COMPOSITE", OWNER, OTHER),
        UploadLine(b"k", "u2", THEN, "STANDARD", "", "", OWNER, OWNER),
    )
    written = xml.list_multipart_uploads(
        UploadPage("b", "p", "/", "km", "um", 2, True, lines, (b"p/",), b"k", "u2", url_encode=True)
    )
    parsed = parse("ListMultipartUploads", written)
    assert [(upload["UploadId"], upload.get("ChecksumAlgorithm")) for upload in parsed["Uploads"]] == [
        ("u1", "CRC32"),
        ("u2", None),
    ]
    assert [(each["Owner"]["ID"], each["Initiator"]["ID"]) for each in parsed["Uploads"]] == [
        ("testid", "alt"),
        ("testid", "testid"),
    ]
    assert parsed["Uploads"][0]["Key"] == "a%2Bb/%20%C3%A4%26%3C%3E%22%27%25%0D%0A"
    assert (parsed["KeyMarker"], parsed["UploadIdMarker"], parsed["NextKeyMarker"]) == ("km", "um", "k")
    assert (parsed["NextUploadIdMarker"], parsed["CommonPrefixes"]) == ("u2", [{"Prefix": "p/"}])


def test_delete_result_document() -> None:
    written = xml.delete_result(
        [DeletedLine(ODD, None, None), DeletedLine(b"v", "v1", "v1"), DeletedLine(b"m", None, "v2")],
        [FailedLine(b"x", "v9", Code.ACCESS_DENIED, "no <way>")],
    )
    assert parse("DeleteObjects", written) == {
        "Deleted": [
            {"Key": ODD.decode()},
            {"Key": "v", "VersionId": "v1", "DeleteMarker": True, "DeleteMarkerVersionId": "v1"},
            {"Key": "m", "DeleteMarker": True, "DeleteMarkerVersionId": "v2"},
        ],
        "Errors": [{"Key": "x", "VersionId": "v9", "Code": "AccessDenied", "Message": "no <way>"}],
    }


def test_object_attributes_document() -> None:
    parts = (PartInfo(1, 5, "a="), PartInfo(3, 6))
    composite = Checksum("SHA1", "x=-2", "COMPOSITE")
    written = xml.object_attributes(AttributesPage("e-2", composite, "STANDARD", 11, 2, parts, 0, 1000, False))
    assert parse("GetObjectAttributes", written) == {
        "ETag": "e-2",
        "Checksum": {"ChecksumSHA1": "x=-2", "ChecksumType": "COMPOSITE"},
        "StorageClass": "STANDARD",
        "ObjectSize": 11,
        "ObjectParts": {
            "TotalPartsCount": 2,
            "PartNumberMarker": 0,
            "NextPartNumberMarker": 3,
            "MaxParts": 1000,
            "IsTruncated": False,
            "Parts": [{"PartNumber": 1, "Size": 5, "ChecksumSHA1": "a="}, {"PartNumber": 3, "Size": 6}],
        },
    }
    assert parse("GetObjectAttributes", xml.object_attributes(AttributesPage(size=0))) == {"ObjectSize": 0}


def test_error_document() -> None:
    failure = S3Error(Code.NO_SUCH_KEY, key=b"a<b\xff", upload_id="u", size=3, ETag="e")
    assert xml.error(failure, "/b/a<b", "REQ", "HOST").decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>a&lt;b\ufffd</Key>"
        "<UploadId>u</UploadId><Size>3</Size><ETag>e</ETag><Resource>/b/a&lt;b</Resource><RequestId>REQ</RequestId>"
        "<HostId>HOST</HostId></Error>"
    )


def test_error_document_survives_undecodable_text() -> None:
    failure = S3Error(Code.INVALID_ARGUMENT, argument_value="\udcff\x00")
    assert b"<ArgumentValue>&#xdcff;&#x0;</ArgumentValue>" in xml.error(failure, "/\udcff", "R")


@pytest.mark.parametrize("url_encode", [False, True])
def test_list_objects_writes_a_page_quickly(*, url_encode: bool) -> None:
    """1.0 ms is the aim and about 0.8 what it takes; the bound here only catches a change of kind."""
    lines = [listed(f"some/prefix/{n:06}".encode(), n, ETAG, THEN + n * 1000) for n in range(1000)]
    listing = page(lines=lines, url_encode=url_encode, owners=[OWNER])
    best = 1.0
    for _ in range(20):
        start = time.perf_counter()
        xml.list_objects_v2(listing)
        best = min(best, time.perf_counter() - start)
    assert best < 0.004
