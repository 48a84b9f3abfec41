"""SSE-S3, SSE-KMS and SSE-C over HTTP: what is asked, what is answered, and that the right key alone gives bytes back."""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from cli.store import change, database_of
from cyxcloud.core.keyring import Keyring
from cyxcloud.core.keywrap import Mode
from cyxcloud.meta import cluster, kms_keys
from cyxcloud.meta.cluster import Epoch
from cyxcloud.meta.connection import Connection
from cyxcloud.objects import kms
from s3gw.app import POLL_SECONDS
from s3gw.customer_keys import key_md5
from tests.cluster.inprocess import InProcessStore
from tests.cluster.operations.calls import MIB, PART, content, raw, refused
from tests.cluster.operations.test_copies import refs_of

SSE = "x-amz-server-side-encryption"
SIZES = [100, 40_000]
SECRETS = bytes(range(32)), bytes(range(100, 132))
# An object under each kind of key: what a write says, what a read says, what a copy says of its source.
Given = dict[str, str]
PLAIN: Given = {}
NAMED = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "payroll"}


def customers(secret: bytes = SECRETS[0], prefix: str = "") -> dict[str, str]:
    given = {"Algorithm": "AES256", "Key": b64encode(secret).decode(), "KeyMD5": key_md5(secret)}
    return {f"{prefix}SSECustomer{name}": value for name, value in given.items()}


OF_SOURCE = customers(SECRETS[0], "CopySource")


@pytest.fixture(scope="module", autouse=True)
def named_keys(store: InProcessStore) -> Iterator[None]:
    keyring = Keyring.open(store.home.keys)
    database = database_of(store.home)

    def make(conn: Connection) -> None:
        for name in ("payroll", "travel"):
            kms.ensure_key(conn, keyring, name, 1000)

    change(database, make)
    yield
    database.close()


def switch(store: InProcessStore, name: str, state: str) -> None:
    """As `cyxcloud kms` does, and as the gateway does a moment later, when it sees the epoch."""
    database = database_of(store.home)

    def set_state(conn: Connection) -> None:
        kms_keys.set_state(conn, name, state)
        cluster.bump(conn, Epoch.ACCESS)

    change(database, set_state)
    database.close()
    time.sleep(POLL_SECONDS + 0.3)


def modes_of(store: InProcessStore, bucket: str, key: str) -> list[tuple[int, int]]:
    """(mode, key id) of the segments of a key's current version."""
    return store.rows(
        "SELECT v.seg_mode, v.seg_key_id FROM version v JOIN bucket b ON b.id = v.bucket "
        "WHERE b.name = ?1 AND v.key = ?2 UNION ALL SELECT s.mode, s.key_id FROM segment s "
        "JOIN version v ON v.id = s.owner JOIN bucket b ON b.id = v.bucket WHERE b.name = ?1 AND v.key = ?2",
        bucket,
        key.encode(),
    )


def shown(answer: Any) -> dict[str, str]:
    """What the headers of an answer say of encryption."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return {name.removeprefix(SSE): value for name, value in headers.items() if name.startswith(SSE)}


SHOWS_CUSTOMERS = {"-customer-algorithm": "AES256", "-customer-key-md5": key_md5(SECRETS[0])}
SHOWS_NAMED = {"": "aws:kms", "-aws-kms-key-id": "payroll"}


@pytest.mark.parametrize("size", [0, *SIZES, 5 * MIB])
@pytest.mark.parametrize(
    "case",
    [
        (PLAIN, PLAIN, {"": "AES256"}, Mode.SSE_S3),
        ({"ServerSideEncryption": "AES256"}, PLAIN, {"": "AES256"}, Mode.SSE_S3),
        (NAMED, PLAIN, SHOWS_NAMED, Mode.SSE_KMS),
        (customers(), customers(), SHOWS_CUSTOMERS, Mode.SSE_C),
    ],
)
def test_put_object_under_each_kind_of_key(
    store: InProcessStore, client: Any, bucket: str, size: int, case: tuple[Given, Given, Given, Mode]
) -> None:
    asked, read, said, mode = case
    body = content(size)
    put = client.put_object(Bucket=bucket, Key="k", Body=body, **asked)
    assert shown(put) == said
    got = client.get_object(Bucket=bucket, Key="k", **read)
    assert (got["Body"].read(), shown(got), got["ETag"]) == (body, said, put["ETag"])
    assert shown(client.head_object(Bucket=bucket, Key="k", **read)) == said
    if size:
        assert client.get_object(Bucket=bucket, Key="k", Range="bytes=7-", **read)["Body"].read() == body[7:]
        assert modes_of(store, bucket, "k")[0][0] == mode
        is_md5 = put["ETag"] == f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        assert is_md5 is (mode is Mode.SSE_S3)


@pytest.mark.parametrize("size", SIZES)
def test_get_object_without_its_customers_key(client: Any, bucket: str, size: int) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=content(size), **customers())
    attributes = {"Bucket": bucket, "Key": "k", "ObjectAttributes": ["ETag", "ObjectSize"]}
    for given in ({}, customers(SECRETS[1])):
        with refused("InvalidRequest", 400):
            client.get_object(Bucket=bucket, Key="k", **given)
        with refused("400", 400):
            client.head_object(Bucket=bucket, Key="k", **given)
        with refused("InvalidRequest", 400):
            client.get_object_attributes(**attributes, **given)
    assert client.get_object_attributes(**attributes, **customers())["ObjectSize"] == size


def test_a_refused_read_says_nothing_of_a_customers_object(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=content(100), Metadata={"m": "1"}, **customers())
    answer = raw(store, "GET", f"/{bucket}/k")
    assert answer.status == 400
    assert not [name for name in answer.headers if name in ("etag", "x-cyx-cid") or name.startswith("x-amz-meta")]


def test_get_object_with_a_key_that_it_does_not_have(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="plain", Body=b"b")
    client.put_object(Bucket=bucket, Key="named", Body=b"b", **NAMED)
    for key in ("plain", "named"):
        with refused("InvalidRequest", 400):
            client.get_object(Bucket=bucket, Key=key, **customers())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads_take_no_header_of_server_side_encryption(
    store: InProcessStore, client: Any, bucket: str, method: str
) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"b")
    answer = raw(store, method, f"/{bucket}/k", headers={SSE: "AES256"})
    assert answer.status == 400


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({SSE: "AES192"}, "InvalidArgument"),
        ({SSE: ""}, "InvalidArgument"),
        ({SSE: "aes:kms"}, "InvalidArgument"),
        ({SSE: "aws:kms:dsse"}, "NotImplemented"),
        ({SSE: "AES256", f"{SSE}-aws-kms-key-id": "payroll"}, "InvalidArgument"),
        ({f"{SSE}-aws-kms-key-id": "payroll"}, "InvalidArgument"),
        ({SSE: "AES256", f"{SSE}-customer-algorithm": "AES256"}, "InvalidArgument"),
        ({SSE: "aws:kms", f"{SSE}-customer-key": "x"}, "InvalidArgument"),
        ({f"{SSE}-customer-algorithm": "AES256"}, "InvalidArgument"),
        ({f"{SSE}-customer-algorithm": "AES192"}, "InvalidEncryptionAlgorithmError"),
        ({SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "nobody"}, "KMS.NotFoundException"),
        ({SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "arn:aws:kms:mars-1:1:key/payroll"}, "KMS.NotFoundException"),
        ({SSE: "aws:kms", f"{SSE}-context": "e30"}, "InvalidArgument"),
        ({SSE: "aws:kms", f"{SSE}-bucket-key-enabled": "2"}, "InvalidArgument"),
    ],
)
def test_put_object_with_wrong_headers_stores_nothing(
    store: InProcessStore, client: Any, bucket: str, given: dict[str, str], code: str
) -> None:
    answer = raw(store, "PUT", f"/{bucket}/k", b"body", given)
    assert (answer.code, answer.status) == (code, 501 if code == "NotImplemented" else 400)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)


def test_put_object_under_the_default_named_key(client: Any, bucket: str) -> None:
    context = b64encode(b'{"project": "x"}').decode()
    put = client.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"body",
        ServerSideEncryption="aws:kms",
        SSEKMSEncryptionContext=context,
        BucketKeyEnabled=True,
    )
    arn = put["SSEKMSKeyId"]
    assert arn.endswith(":alias/aws/s3")
    assert shown(put) == {"": "aws:kms", "-aws-kms-key-id": arn, "-context": context, "-bucket-key-enabled": "true"}
    got = client.get_object(Bucket=bucket, Key="k")
    assert shown(got) == {"": "aws:kms", "-aws-kms-key-id": arn, "-bucket-key-enabled": "true"}
    client.put_object(Bucket=bucket, Key="k", Body=b"body", ServerSideEncryption="aws:kms", SSEKMSKeyId=arn)


@pytest.mark.parametrize("size", SIZES)
def test_an_object_whose_named_key_is_disabled_is_not_read(
    store: InProcessStore, client: Any, bucket: str, size: int
) -> None:
    body = content(size)
    travel = NAMED | {"SSEKMSKeyId": "travel"}
    client.put_object(Bucket=bucket, Key="k", Body=body, **travel)
    switch(store, "travel", kms.DISABLED)
    try:
        answer = raw(store, "GET", f"/{bucket}/k")
        assert (answer.code, answer.status) == ("KMS.DisabledException", 400)
        assert body[:16] not in answer.body
        for given in (travel, {}):
            with refused("KMS.DisabledException", 400):
                client.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", **given)
        with refused("KMS.DisabledException", 400):
            client.put_object(Bucket=bucket, Key="c", Body=b"b", **travel)
        assert [each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
    finally:
        switch(store, "travel", kms.ENABLED)
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == body


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "case",
    [
        (PLAIN, PLAIN, PLAIN, PLAIN, True),
        (PLAIN, PLAIN, NAMED, PLAIN, False),
        (PLAIN, PLAIN, customers(SECRETS[1]), customers(SECRETS[1]), False),
        (NAMED, PLAIN, PLAIN, PLAIN, False),
        (NAMED, PLAIN, NAMED, PLAIN, True),
        (NAMED, PLAIN, NAMED | {"SSEKMSKeyId": "travel"}, PLAIN, False),
        (customers(), OF_SOURCE, PLAIN, PLAIN, False),
        (customers(), OF_SOURCE, customers(), customers(), False),
    ],
)
def test_copy_object_from_and_to_each_kind_of_key(
    store: InProcessStore, client: Any, bucket: str, size: int, case: tuple[Given, Given, Given, Given, bool]
) -> None:
    of_source, source, of_target, read, shares = case
    body = content(size)
    put = client.put_object(Bucket=bucket, Key="s", Body=body, Metadata={"m": "1"}, **of_source)
    copied = client.copy_object(Bucket=bucket, Key="t", CopySource=f"{bucket}/s", **source, **of_target)
    got = client.get_object(Bucket=bucket, Key="t", ChecksumMode="ENABLED", **read)
    assert (got["Body"].read(), got["Metadata"]) == (body, {"m": "1"})
    assert shown(copied) == shown(got)
    assert copied["CopyObjectResult"]["ETag"] == got["ETag"]
    assert copied["CopyObjectResult"]["ChecksumCRC32"] == got["ChecksumCRC32"] == put["ChecksumCRC32"]
    assert refs_of(store, bucket, "s") == refs_of(store, bucket, "t") == ([2] if shares else [1])
    client.delete_object(Bucket=bucket, Key="s")
    assert client.get_object(Bucket=bucket, Key="t", **read)["Body"].read() == body


def test_copy_object_of_a_customers_object_without_its_key(client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="s", Body=b"body", **customers())
    for given in ({}, customers(), customers(SECRETS[1], "CopySource")):
        with refused("InvalidRequest", 400):
            client.copy_object(Bucket=bucket, Key="t", CopySource=f"{bucket}/s", **given)
    client.put_object(Bucket=bucket, Key="p", Body=b"body")
    with refused("InvalidRequest", 400):
        client.copy_object(Bucket=bucket, Key="t", CopySource=f"{bucket}/p", **OF_SOURCE)


def test_copy_object_onto_itself_changes_its_key(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"body")
    with refused("InvalidRequest", 400):
        client.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k")
    client.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", **NAMED)
    assert modes_of(store, bucket, "k")[0][0] == Mode.SSE_KMS
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body"


def test_copy_object_of_parts_under_another_key_is_one_plain_object(
    store: InProcessStore, client: Any, bucket: str
) -> None:
    upload = client.create_multipart_upload(Bucket=bucket, Key="s", ChecksumAlgorithm="CRC32")["UploadId"]
    bodies = [content(PART, 1), content(1000, 2)]
    listed = []
    for number, body in enumerate(bodies, 1):
        part = client.upload_part(
            Bucket=bucket, Key="s", UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32"
        )
        listed.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]})
    client.complete_multipart_upload(Bucket=bucket, Key="s", UploadId=upload, MultipartUpload={"Parts": listed})
    copied = client.copy_object(Bucket=bucket, Key="t", CopySource=f"{bucket}/s", **NAMED)["CopyObjectResult"]
    assert "-" not in copied["ETag"]
    got = client.get_object(Bucket=bucket, Key="t", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"".join(bodies)
    assert (got["ChecksumType"], len(modes_of(store, bucket, "t"))) == ("FULL_OBJECT", 1)


@pytest.mark.parametrize("kind", ["customer", "named"])
def test_multipart_under_each_kind_of_key(store: InProcessStore, client: Any, bucket: str, kind: str) -> None:
    asked, read = (customers(), customers()) if kind == "customer" else (NAMED, {})
    said = SHOWS_CUSTOMERS if kind == "customer" else SHOWS_NAMED
    begun = client.create_multipart_upload(Bucket=bucket, Key="k", **asked)
    upload = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    bodies = [content(PART, 1), content(20_000, 2)]
    client.put_object(Bucket=bucket, Key="s", Body=content(PART, 3))
    copied = client.upload_part_copy(**upload, PartNumber=1, CopySource=f"{bucket}/s", **read)
    sent = [client.upload_part(**upload, PartNumber=n, Body=body, **read) for n, body in enumerate(bodies, 2)]
    assert [shown(each) for each in (begun, copied, *sent)] == [said] * 4
    tags = [copied["CopyPartResult"]["ETag"], *(each["ETag"] for each in sent)]
    listed = {"Parts": [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]}
    again = client.upload_part(**upload, PartNumber=3, Body=bodies[1], **read)
    if kind == "customer":
        assert again["ETag"] == tags[2]
        with refused("InvalidRequest", 400):
            client.complete_multipart_upload(**upload, MultipartUpload=listed)
        with refused("InvalidRequest", 400):
            client.complete_multipart_upload(**upload, MultipartUpload=listed, **customers(SECRETS[1]))
        with refused("InvalidRequest", 400):
            client.list_parts(**upload)
    else:
        listed["Parts"][2]["ETag"] = again["ETag"]
    assert len(client.list_parts(**upload, **read)["Parts"]) == 3
    done = client.complete_multipart_upload(**upload, MultipartUpload=listed, **read)
    assert shown(done) == said
    whole = content(PART, 3) + b"".join(bodies)
    got = client.get_object(Bucket=bucket, Key="k", **read)
    assert (got["Body"].read(), shown(got), got["ETag"]) == (whole, said, done["ETag"])
    part = client.get_object(Bucket=bucket, Key="k", PartNumber=3, **read)
    assert part["Body"].read() == bodies[1]
    mode = Mode.SSE_C if kind == "customer" else Mode.SSE_KMS
    assert {found for found, _ in modes_of(store, bucket, "k")} == {mode}


def test_upload_part_with_another_key_than_the_uploads(client: Any, bucket: str) -> None:
    mine = client.create_multipart_upload(Bucket=bucket, Key="k", **customers())["UploadId"]
    plain = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    client.put_object(Bucket=bucket, Key="s", Body=b"body")
    for upload, given in ((mine, {}), (mine, customers(SECRETS[1])), (plain, customers())):
        named = {"Bucket": bucket, "Key": "k", "UploadId": upload, "PartNumber": 1}
        with refused("InvalidRequest", 400):
            client.upload_part(**named, Body=b"body", **given)
        with refused("InvalidRequest", 400):
            client.upload_part_copy(**named, CopySource=f"{bucket}/s", **given)


def test_complete_of_a_customers_upload_without_checksums_needs_no_key(
    store: InProcessStore, client: Any, bucket: str
) -> None:
    quiet = store.client(request_checksum_calculation="when_required")
    upload = quiet.create_multipart_upload(Bucket=bucket, Key="k", **customers())["UploadId"]
    named = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    tag = quiet.upload_part(**named, PartNumber=1, Body=b"body", **customers())["ETag"]
    assert len(quiet.list_parts(**named)["Parts"]) == 1
    quiet.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})
    assert client.get_object(Bucket=bucket, Key="k", **customers())["Body"].read() == b"body"


def default(client: Any, bucket: str, algorithm: str = "aws:kms", **rule: Any) -> None:
    wanted = {"SSEAlgorithm": algorithm} | ({"KMSMasterKeyID": "payroll"} if algorithm == "aws:kms" else {})
    rules = [{"ApplyServerSideEncryptionByDefault": wanted} | rule]
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def test_bucket_encryption_is_put_got_and_deleted(client: Any, bucket: str) -> None:
    with refused("ServerSideEncryptionConfigurationNotFoundError", 404):
        client.get_bucket_encryption(Bucket=bucket)
    default(client, bucket, BucketKeyEnabled=True)
    (rule,) = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule == {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "payroll"},
        "BucketKeyEnabled": True,
    }
    for _ in range(2):
        client.delete_bucket_encryption(Bucket=bucket)
    with refused("ServerSideEncryptionConfigurationNotFoundError", 404):
        client.get_bucket_encryption(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="k", Body=b"b")
    assert shown(client.head_object(Bucket=bucket, Key="k")) == {"": "AES256"}


def test_bucket_encryption_is_what_new_objects_get_that_ask_for_nothing(
    store: InProcessStore, client: Any, bucket: str
) -> None:
    client.put_object(Bucket=bucket, Key="before", Body=b"b")
    default(client, bucket, BucketKeyEnabled=True)
    said = SHOWS_NAMED | {"-bucket-key-enabled": "true"}
    assert shown(client.put_object(Bucket=bucket, Key="put", Body=b"b")) == said
    assert shown(client.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/before")) == said
    assert shown(client.create_multipart_upload(Bucket=bucket, Key="upload")) == said
    assert {mode for key in ("put", "copy") for mode, _ in modes_of(store, bucket, key)} == {Mode.SSE_KMS}
    plain = client.put_object(Bucket=bucket, Key="plain", Body=b"b", ServerSideEncryption="AES256")
    assert shown(plain) == {"": "AES256"}
    mine = client.put_object(Bucket=bucket, Key="mine", Body=b"b", **customers())
    assert shown(mine) == SHOWS_CUSTOMERS
    travel = client.put_object(Bucket=bucket, Key="travel", Body=b"b", **NAMED | {"SSEKMSKeyId": "travel"})
    assert shown(travel) == said | {"-aws-kms-key-id": "travel"}
    assert shown(client.head_object(Bucket=bucket, Key="before")) == {"": "AES256"}


def test_bucket_encryption_under_a_key_that_is_not_there(client: Any, bucket: str) -> None:
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "nobody"}}]
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    with refused("KMS.NotFoundException", 400):
        client.put_object(Bucket=bucket, Key="k", Body=b"b")


def test_bucket_encryption_blocks_customers_keys(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="before", Body=b"b", **customers())
    rule = "<Rule><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule>"
    document = f"<ServerSideEncryptionConfiguration>{rule}</ServerSideEncryptionConfiguration>".encode()
    assert raw(store, "PUT", f"/{bucket}", document, query=(("encryption", ""),)).status == 200
    with refused("AccessDenied", 403):
        client.put_object(Bucket=bucket, Key="k", Body=b"b", **customers())
    with refused("AccessDenied", 403):
        client.create_multipart_upload(Bucket=bucket, Key="k", **customers())
    assert client.get_object(Bucket=bucket, Key="before", **customers())["Body"].read() == b"b"


def test_no_key_of_a_customer_is_stored(store: InProcessStore, client: Any, bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=content(100), **customers())
    database = (store.home.meta / "meta.db").read_bytes() + (store.home.meta / "meta.db-wal").read_bytes()
    for trace in (SECRETS[0], b64encode(SECRETS[0]), key_md5(SECRETS[0]).encode(), SECRETS[0].hex().encode()):
        assert trace not in database


def test_the_layout_of_a_customers_content_is_not_told(store: InProcessStore, client: Any, bucket: str) -> None:
    body = content(300, 5)
    put = client.put_object(Bucket=bucket, Key="k", Body=body, **customers())
    name = put["ResponseMetadata"]["HTTPHeaders"]["x-cyx-cid"]
    assert raw(store, "GET", f"/-/layout/{name}").status == 404
    client.put_object(Bucket=bucket, Key="open", Body=body)
    assert raw(store, "GET", f"/-/layout/{name}").status == 200
