"""VersioningConfiguration (pure). https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketVersioning.html"""

from __future__ import annotations

from cyxcloud.meta.rows import Versioning
from s3gw import xml
from s3gw.errors import Code, S3Error
from s3gw.xml_reader import TEXT, Struct, malformed, read, text_of

MAX_BYTES = 4 << 10
_ROOT = "VersioningConfiguration"
_SHAPE = Struct({"Status": TEXT, "MfaDelete": TEXT})
_STATUS = {"Enabled": Versioning.ENABLED, "Suspended": Versioning.SUSPENDED}
_TEXT = {state: text for text, state in _STATUS.items()}


def parse(body: bytes) -> Versioning:
    """Raises AccessDenied where MFA delete is asked for: no device is registered that could ever confirm one."""
    document = read(body, _ROOT, _SHAPE, MAX_BYTES)
    status, mfa_delete = text_of(document, "Status"), text_of(document, "MfaDelete")
    if mfa_delete == "Enabled":
        raise S3Error(Code.ACCESS_DENIED, "Mfa Authentication must be used for this request")
    if mfa_delete not in (None, "Disabled"):
        raise malformed()
    if status is None:
        raise S3Error(Code.ILLEGAL_VERSIONING_CONFIGURATION)
    state = _STATUS.get(status)
    if state is None:
        raise malformed()
    return state


def render(versioning: Versioning) -> bytes:
    """A bucket that never had versions has no status at all."""
    return xml.document(_ROOT, xml.optional("Status", _TEXT.get(versioning, "")))
