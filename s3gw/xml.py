"""The XML that the gateway answers, one function per document (pure).

Every text goes through `escape` or is a number or a constant. XML 1.0 cannot carry control characters; they are written
as numeric references, as S3 does, and clients that want to parse such keys ask for encoding-type=url.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from urllib.parse import quote_from_bytes

from cyxcloud.objects.attributes import CHECKSUM_CODES, COMPOSITE_CODE, Checksum
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
from s3gw.errors import S3Error
from s3gw.times import iso_time

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]')
# What XML 1.0 can carry, be it as a reference.
_XML_TEXT = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*").fullmatch
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~/-"


def escape(text: str) -> str:
    return _SPECIAL.sub(_reference, text) if _SPECIAL.search(text) else text


def _reference(match: re.Match[str]) -> str:
    character = match[0]
    return _NAMED.get(character) or f"&#x{ord(character):x};"


def _escape_key(key: bytes) -> str:
    return escape(key.decode())


def _quote_key(key: bytes) -> str:
    return quote_from_bytes(key)


# By the small number that a row holds: which checksum an object has, without its value.
_LISTED_CHECKSUMS = {0: ""} | {
    code + composite: f"<ChecksumAlgorithm>{name}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"
    for name, code in CHECKSUM_CODES.items()
    if code
    for kind, composite in (("FULL_OBJECT", 0), ("COMPOSITE", COMPOSITE_CODE))
}


def _key_writer(*, url_encode: bool) -> Callable[[bytes], str]:
    return _quote_key if url_encode else _escape_key


def document(root: str, body: str) -> bytes:
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{body}</{root}>'.encode()


def optional(name: str, value: str) -> str:
    return f"<{name}>{value}</{name}>" if value else ""


def _truncated(*, truncated: bool) -> str:
    return "<IsTruncated>true</IsTruncated>" if truncated else "<IsTruncated>false</IsTruncated>"


def person(element: str, owner: Owner) -> str:
    name = escape(owner.display_name)
    return f"<{element}><ID>{escape(owner.id)}</ID><DisplayName>{name}</DisplayName></{element}>"


def _checksum(checksum: Checksum | None) -> str:
    if checksum is None:
        return ""
    return f"<Checksum{checksum.algorithm}>{escape(checksum.value)}</Checksum{checksum.algorithm}>"


def _checksum_and_type(checksum: Checksum | None) -> str:
    return "" if checksum is None else f"{_checksum(checksum)}<ChecksumType>{checksum.type}</ChecksumType>"


def _common_prefixes(prefixes: Iterable[bytes], write_key: Callable[[bytes], str]) -> str:
    return "".join([f"<CommonPrefixes><Prefix>{write_key(prefix)}</Prefix></CommonPrefixes>" for prefix in prefixes])


def list_buckets(owner: Owner, lines: Iterable[BucketLine], *, prefix: str = "", continuation_token: str = "") -> bytes:
    buckets = "".join(
        [
            f"<Bucket><Name>{name}</Name><CreationDate>{iso_time(created_ms)}</CreationDate>"
            f"<BucketRegion>{escape(region)}</BucketRegion></Bucket>"
            for name, created_ms, region in lines
        ]
    )
    rest = optional("ContinuationToken", escape(continuation_token)) + optional("Prefix", escape(prefix))
    return document("ListAllMyBucketsResult", f"{person('Owner', owner)}<Buckets>{buckets}</Buckets>{rest}")


def list_objects(page: ObjectPage, *, marker: str = "", next_marker: bytes = b"") -> bytes:
    """Version 1. `next_marker` is given only where S3 does: a truncated page of a listing with a delimiter."""
    write_key = _key_writer(url_encode=page.url_encode)
    head = f"<Marker>{write_key(marker.encode())}</Marker>{optional('NextMarker', write_key(next_marker))}"
    return document("ListBucketResult", _object_page(page, head, write_key, _echoed_prefix(page, write_key)))


def _echoed_prefix(page: ObjectPage, write_key: Callable[[bytes], str]) -> str:
    """boto3 does not decode this element of a version 1 listing, others do: as it came where both read the same."""
    prefix = page.prefix
    decoded_is_same = not any(mark in prefix for mark in "%+")
    return escape(prefix) if decoded_is_same and _XML_TEXT(prefix) else write_key(prefix.encode())


def list_objects_v2(
    page: ObjectPage, *, continuation_token: str | None = None, next_token: str = "", start_after: str = ""
) -> bytes:
    """A token is repeated as it came, an empty one too."""
    write_key = _key_writer(url_encode=page.url_encode)
    token = "" if continuation_token is None else f"<ContinuationToken>{escape(continuation_token)}</ContinuationToken>"
    head = (
        f"{optional('StartAfter', write_key(start_after.encode()))}"
        f"{token}{optional('NextContinuationToken', escape(next_token))}"
        f"<KeyCount>{len(page.lines) + len(page.common_prefixes)}</KeyCount>"
    )
    return document("ListBucketResult", _object_page(page, head, write_key, write_key(page.prefix.encode())))


def _object_page(page: ObjectPage, head: str, write_key: Callable[[bytes], str], prefix: str) -> str:
    owners = _owners(page.owners)
    # Most keys read the same raw, escaped and URL encoded: one look at all of them saves a look at each.
    all_plain = not b"".join([line[0] for line in page.lines]).translate(None, _PLAIN)
    write_line_key = bytes.decode if all_plain else write_key
    contents = "".join(
        [
            f"<Contents><Key>{write_line_key(key)}</Key><LastModified>{iso_time(modified_ms)}</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag>{_LISTED_CHECKSUMS[checksum]}<Size>{size}</Size>{owner}"
            f"<StorageClass>{storage_class}</StorageClass></Contents>"
            for (key, size, etag, modified_ms, _, storage_class, checksum), owner in zip(
                page.lines, owners, strict=False
            )
        ]
    )
    return (
        f"<Name>{page.bucket}</Name><Prefix>{prefix}</Prefix>{head}"
        f"<MaxKeys>{page.max_keys}</MaxKeys>{optional('Delimiter', write_key(page.delimiter.encode()))}"
        f"{_encoding(url_encode=page.url_encode)}{_truncated(truncated=page.truncated)}"
        f"{contents}{_common_prefixes(page.common_prefixes, write_key)}"
    )


def _owners(owners: Sequence[Owner]) -> Iterable[str]:
    if len(owners) < 2:
        return repeat(person("Owner", owners[0]) if owners else "")
    return [person("Owner", owner) for owner in owners]


def _encoding(*, url_encode: bool) -> str:
    return "<EncodingType>url</EncodingType>" if url_encode else ""


def list_versions(page: VersionPage) -> bytes:
    """Versions and markers stand in one order, by which clients tell what is older than what."""
    write_key = _key_writer(url_encode=page.url_encode)
    owners = {line.owner: person("Owner", line.owner) for line in page.lines}
    body = (
        f"<Name>{page.bucket}</Name><Prefix>{write_key(page.prefix.encode())}</Prefix>"
        f"<KeyMarker>{write_key(page.key_marker.encode())}</KeyMarker>"
        f"<VersionIdMarker>{escape(page.version_id_marker)}</VersionIdMarker>"
        f"{optional('NextKeyMarker', write_key(page.next_key_marker))}"
        f"{optional('NextVersionIdMarker', page.next_version_id_marker)}"
        f"<MaxKeys>{page.max_keys}</MaxKeys>{optional('Delimiter', write_key(page.delimiter.encode()))}"
        f"{_encoding(url_encode=page.url_encode)}{_truncated(truncated=page.truncated)}"
        f"{''.join([_version(line, owners[line.owner], write_key) for line in page.lines])}"
        f"{_common_prefixes(page.common_prefixes, write_key)}"
    )
    return document("ListVersionsResult", body)


def _version(line: VersionLine, owner: str, write_key: Callable[[bytes], str]) -> str:
    latest = "true" if line.is_latest else "false"
    common = (
        f"<Key>{write_key(line.key)}</Key><VersionId>{line.version_id}</VersionId><IsLatest>{latest}</IsLatest>"
        f"<LastModified>{iso_time(line.modified_ms)}</LastModified>"
    )
    if line.is_marker:
        return f"<DeleteMarker>{common}{owner}</DeleteMarker>"
    return (
        f"<Version>{common}<ETag>&quot;{line.etag}&quot;</ETag>{_LISTED_CHECKSUMS[line.checksum]}"
        f"<Size>{line.size}</Size>"
        f"<StorageClass>{line.storage_class}</StorageClass>{owner}</Version>"
    )


def location_constraint(region: str) -> bytes:
    """An empty region is us-east-1, which S3 has always written as nothing."""
    return document("LocationConstraint", escape(region))


def initiate_multipart_upload(bucket: str, key: bytes, upload_id: str) -> bytes:
    body = f"<Bucket>{bucket}</Bucket><Key>{_escape_key(key)}</Key><UploadId>{upload_id}</UploadId>"
    return document("InitiateMultipartUploadResult", body)


def complete_multipart_upload(
    location: str, bucket: str, key: bytes, etag: str, checksum: Checksum | None = None
) -> bytes:
    body = (
        f"<Location>{escape(location)}</Location><Bucket>{bucket}</Bucket><Key>{_escape_key(key)}</Key>"
        f"<ETag>&quot;{etag}&quot;</ETag>{_checksum_and_type(checksum)}"
    )
    return document("CompleteMultipartUploadResult", body)


def copy_object(etag: str, modified_ms: int, checksum: Checksum | None = None) -> bytes:
    return _copied("CopyObjectResult", etag, modified_ms, _checksum_and_type(checksum))


def copy_part(etag: str, modified_ms: int, checksum: Checksum | None = None) -> bytes:
    return _copied("CopyPartResult", etag, modified_ms, _checksum(checksum))


def _copied(root: str, etag: str, modified_ms: int, checksum: str) -> bytes:
    body = f"<LastModified>{iso_time(modified_ms)}</LastModified><ETag>&quot;{etag}&quot;</ETag>{checksum}"
    return document(root, body)


def list_parts(page: PartPage) -> bytes:
    next_marker = page.lines[-1].number if page.lines else 0
    body = (
        f"<Bucket>{page.bucket}</Bucket><Key>{_escape_key(page.key)}</Key><UploadId>{page.upload_id}</UploadId>"
        f"{person('Initiator', page.initiator)}{person('Owner', page.owner)}"
        f"<StorageClass>{page.storage_class}</StorageClass>"
        f"<PartNumberMarker>{page.part_number_marker}</PartNumberMarker>"
        f"<NextPartNumberMarker>{next_marker}</NextPartNumberMarker><MaxParts>{page.max_parts}</MaxParts>"
        f"{_truncated(truncated=page.truncated)}{optional('ChecksumAlgorithm', page.checksum_algorithm)}"
        f"{optional('ChecksumType', page.checksum_type)}{''.join([_part(line) for line in page.lines])}"
    )
    return document("ListPartsResult", body)


def _part(line: PartLine) -> str:
    return (
        f"<Part><PartNumber>{line.number}</PartNumber><LastModified>{iso_time(line.modified_ms)}</LastModified>"
        f"<ETag>&quot;{line.etag}&quot;</ETag><Size>{line.size}</Size>{_checksum(line.checksum)}</Part>"
    )


def list_multipart_uploads(page: UploadPage) -> bytes:
    write_key = _key_writer(url_encode=page.url_encode)
    body = (
        f"<Bucket>{page.bucket}</Bucket><KeyMarker>{write_key(page.key_marker.encode())}</KeyMarker>"
        f"<UploadIdMarker>{escape(page.upload_id_marker)}</UploadIdMarker>"
        f"{optional('NextKeyMarker', write_key(page.next_key_marker))}"
        f"{optional('NextUploadIdMarker', escape(page.next_upload_id_marker))}"
        f"<Prefix>{write_key(page.prefix.encode())}</Prefix>"
        f"{optional('Delimiter', write_key(page.delimiter.encode()))}"
        f"{_encoding(url_encode=page.url_encode)}<MaxUploads>{page.max_uploads}</MaxUploads>"
        f"{_truncated(truncated=page.truncated)}{''.join([_upload(line, write_key) for line in page.lines])}"
        f"{_common_prefixes(page.common_prefixes, write_key)}"
    )
    return document("ListMultipartUploadsResult", body)


def _upload(line: UploadLine, write_key: Callable[[bytes], str]) -> str:
    people = person("Initiator", line.initiator) + person("Owner", line.owner)
    return (
        f"<Upload><Key>{write_key(line.key)}</Key><UploadId>{line.upload_id}</UploadId>{people}"
        f"<StorageClass>{line.storage_class}</StorageClass><Initiated>{iso_time(line.initiated_ms)}</Initiated>"
        f"{optional('ChecksumAlgorithm', line.checksum_algorithm)}{optional('ChecksumType', line.checksum_type)}"
        "</Upload>"
    )


def post_response(location: str, bucket: str, key: bytes, etag: str) -> bytes:
    """Like the error document it has no namespace."""
    body = f"<Location>{escape(location)}</Location><Bucket>{bucket}</Bucket><Key>{_escape_key(key)}</Key>"
    return f"{DECLARATION}<PostResponse>{body}<ETag>{escape(etag)}</ETag></PostResponse>".encode()


def delete_result(deleted: Iterable[DeletedLine], failed: Iterable[FailedLine]) -> bytes:
    body = "".join([_deleted(line) for line in deleted]) + "".join([_failed(line) for line in failed])
    return document("DeleteResult", body)


def _deleted(line: DeletedLine) -> str:
    marker = line.delete_marker_version_id
    made = f"<DeleteMarker>true</DeleteMarker>{optional('DeleteMarkerVersionId', marker)}" if marker else ""
    version = optional("VersionId", escape(line.version_id or ""))
    return f"<Deleted><Key>{_escape_key(line.key)}</Key>{version}{made}</Deleted>"


def _failed(line: FailedLine) -> str:
    version = optional("VersionId", escape(line.version_id or ""))
    return (
        f"<Error><Key>{_escape_key(line.key)}</Key>{version}<Code>{line.code.text}</Code>"
        f"<Message>{escape(line.message)}</Message></Error>"
    )


def object_attributes(page: AttributesPage) -> bytes:
    """The ETag stands unquoted here, unlike everywhere else: Amazon's document has it so."""
    checksum = "" if page.checksum is None else f"<Checksum>{_checksum_and_type(page.checksum)}</Checksum>"
    size = "" if page.size is None else f"<ObjectSize>{page.size}</ObjectSize>"
    body = (
        f"{optional('ETag', page.etag or '')}{checksum}{_object_parts(page)}"
        f"{optional('StorageClass', page.storage_class or '')}{size}"
    )
    return document("GetObjectAttributesResponse", body)


def _object_parts(page: AttributesPage) -> str:
    if page.parts_count is None:
        return ""
    algorithm = "" if page.checksum is None else page.checksum.algorithm
    parts = "".join(
        [
            f"<Part><PartNumber>{part.number}</PartNumber><Size>{part.size}</Size>"
            f"{_checksum(Checksum(algorithm, part.checksum)) if part.checksum and algorithm else ''}</Part>"
            for part in page.parts
        ]
    )
    next_marker = page.parts[-1].number if page.parts else 0
    return (
        f"<ObjectParts><PartsCount>{page.parts_count}</PartsCount>"
        f"<PartNumberMarker>{page.part_number_marker}</PartNumberMarker>"
        f"<NextPartNumberMarker>{next_marker}</NextPartNumberMarker><MaxParts>{page.max_parts}</MaxParts>"
        f"{_truncated(truncated=page.truncated)}{parts}</ObjectParts>"
    )


def error(failure: S3Error, resource: str, request_id: str, host_id: str = "") -> bytes:
    """The error document, which alone has no namespace."""
    fields = "".join([f"<{_camel(name)}>{_field(value)}</{_camel(name)}>" for name, value in failure.fields.items()])
    return (
        f"{DECLARATION}<Error><Code>{failure.code.text}</Code><Message>{escape(failure.message)}</Message>{fields}"
        f"{optional('Resource', escape(resource))}<RequestId>{request_id}</RequestId>"
        f"{optional('HostId', escape(host_id))}</Error>"
    ).encode()


def _camel(name: str) -> str:
    return name if name[:1].isupper() else "".join([word[:1].upper() + word[1:] for word in name.split("_")])


def _field(value: str | int | bytes) -> str:
    return escape(value.decode(errors="replace") if isinstance(value, bytes) else str(value))
