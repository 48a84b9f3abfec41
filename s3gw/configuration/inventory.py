"""InventoryConfiguration (pure). https://docs.aws.amazon.com/AmazonS3/latest/API/API_InventoryConfiguration.html"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from cyxcloud.objects.inventory import (
    ALL,
    CONFIG_ID,
    CSV,
    CURRENT,
    DAILY,
    OPTIONAL_FIELDS,
    WEEKLY,
    InventoryConfig,
)
from s3gw import xml
from s3gw.errors import Code, S3Error, not_implemented
from s3gw.xml_reader import TEXT, Many, Struct, Value, boolean, malformed, read, text_of

MAX_BYTES = 64 << 10
_ROOT = "InventoryConfiguration"
_ENCRYPTION = Struct({"SSE-S3": Struct({}), "SSE-KMS": Struct({"KeyId": TEXT})})
_SHAPE = Struct(
    {
        "Destination": Struct(
            {
                "S3BucketDestination": Struct(
                    {"AccountId": TEXT, "Bucket": TEXT, "Format": TEXT, "Prefix": TEXT, "Encryption": _ENCRYPTION}
                )
            }
        ),
        "IsEnabled": TEXT,
        "Filter": Struct({"Prefix": TEXT}),
        "Id": TEXT,
        "IncludedObjectVersions": TEXT,
        "OptionalFields": Struct({"Field": Many(TEXT, 64)}),
        "Schedule": Struct({"Frequency": TEXT}),
    }
)
# S3's formats and fields that are not made here.
_UNBUILT_FORMATS = ("ORC", "Parquet")
_UNBUILT_FIELDS = ("LifecycleExpirationDate",)


def parse(body: bytes, config_id: str) -> InventoryConfig:
    """Raises MalformedXML, InvalidArgument, InvalidS3DestinationBucket, NotImplemented. `config_id`: the request's."""
    document = read(body, _ROOT, _SHAPE, MAX_BYTES)
    if text_of(document, "Id") != config_id or not CONFIG_ID(config_id):
        raise S3Error(Code.INVALID_ARGUMENT, "The ID in the request must be that of the configuration, and be valid.")
    destination = _inner(_inner(document, "Destination"), "S3BucketDestination")
    filtered = _inner(document, "Filter", required=False)
    config = InventoryConfig(
        id=config_id,
        destination=text_of(destination, "Bucket") or "",
        versions=_one_of(document, "IncludedObjectVersions", (ALL, CURRENT)),
        frequency=_one_of(_inner(document, "Schedule"), "Frequency", (DAILY, WEEKLY)),
        enabled=boolean(text_of(document, "IsEnabled") or ""),
        account=text_of(destination, "AccountId") or "",
        prefix=text_of(destination, "Prefix"),
        filter_prefix=text_of(filtered, "Prefix"),
        fields=_fields(_inner(document, "OptionalFields", required=False)),
        sse_s3=_sse_s3(destination),
    )
    _check_format(destination)
    if not config.bucket:
        raise S3Error(Code.INVALID_S3_DESTINATION_BUCKET, "Invalid bucket ARN.")
    return config


def _inner(document: dict[str, Value], name: str, *, required: bool = True) -> dict[str, Value]:
    found = document.get(name)
    if found is None:
        if required:
            raise malformed()
        return {}
    return cast("dict[str, Value]", found)


def _one_of(document: dict[str, Value], name: str, known: tuple[str, ...]) -> str:
    found = text_of(document, name)
    if found not in known:
        raise malformed()
    return found


def _fields(document: dict[str, Value]) -> tuple[str, ...]:
    fields = cast("list[str]", document.get("Field", []))
    for name in fields:
        if name in _UNBUILT_FIELDS:
            raise not_implemented(f"The inventory field {name} is not implemented")
        if name not in OPTIONAL_FIELDS:
            raise malformed()
    return tuple(dict.fromkeys(fields))


def _check_format(destination: dict[str, Value]) -> None:
    wanted = text_of(destination, "Format")
    if wanted in _UNBUILT_FORMATS:
        raise not_implemented(f"Inventories in {wanted} format are not implemented; use CSV")
    if wanted != CSV:
        raise malformed()


def _sse_s3(destination: dict[str, Value]) -> bool:
    encryption = destination.get("Encryption")
    if encryption is None:
        return False
    if list(cast("dict[str, Value]", encryption)) == ["SSE-S3"]:
        return True
    raise not_implemented("Inventories encrypted by SSE-KMS are not implemented; the bucket's default key can be one")


def render(config: InventoryConfig) -> bytes:
    return xml.document(_ROOT, _rendered(config))


def render_list(configs: Iterable[InventoryConfig], token: str, next_token: str) -> bytes:
    listed = "".join([f"<{_ROOT}>{_rendered(each)}</{_ROOT}>" for each in configs])
    cut = "true" if next_token else "false"
    return xml.document(
        "ListInventoryConfigurationsResult",
        f"{xml.optional('ContinuationToken', xml.escape(token))}{listed}<IsTruncated>{cut}</IsTruncated>"
        f"{xml.optional('NextContinuationToken', xml.escape(next_token))}",
    )


def _rendered(config: InventoryConfig) -> str:
    encryption = "<Encryption><SSE-S3></SSE-S3></Encryption>" if config.sse_s3 else ""
    prefix = "" if config.prefix is None else f"<Prefix>{xml.escape(config.prefix)}</Prefix>"
    filtered = (
        "" if config.filter_prefix is None else f"<Filter><Prefix>{xml.escape(config.filter_prefix)}</Prefix></Filter>"
    )
    fields = "".join([f"<Field>{name}</Field>" for name in config.fields])
    return (
        f"<Id>{config.id}</Id><IsEnabled>{'true' if config.enabled else 'false'}</IsEnabled>"
        f"<Destination><S3BucketDestination>{xml.optional('AccountId', xml.escape(config.account))}"
        f"<Bucket>{xml.escape(config.destination)}</Bucket><Format>{CSV}</Format>{prefix}{encryption}"
        f"</S3BucketDestination></Destination>{filtered}"
        f"<IncludedObjectVersions>{config.versions}</IncludedObjectVersions>"
        f"{xml.optional('OptionalFields', fields)}<Schedule><Frequency>{config.frequency}</Frequency></Schedule>"
    )
