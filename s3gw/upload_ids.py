"""Upload ids as clients see them: sixteen hex digits of the number that the store gave."""

from __future__ import annotations

import re

from cyxcloud.core.ids import UploadId
from s3gw.errors import Code, S3Error

_TEXT = re.compile(r"[0-7][0-9a-f]{15}").fullmatch


def upload_text(upload: UploadId) -> str:
    return f"{upload:016x}"


def parse_upload_id(text: str) -> UploadId:
    """Raises NoSuchUpload for what was never given out."""
    if not _TEXT(text):
        raise S3Error(Code.NO_SUCH_UPLOAD, upload_id=text)
    return UploadId(int(text, 16))
