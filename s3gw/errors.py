"""Every error that the gateway can answer: one table of codes (`codes.py`), one exception that carries a code.

Handlers raise `S3Error(Code.NO_SUCH_KEY, key=key)`; keywords become extra elements of the error document (`upload_id`
is written `<UploadId>`). Only the pipeline renders. The texts are Amazon's, since clients show and match them (pure).
"""

from __future__ import annotations

from s3gw.codes import Code

__all__ = ["Code", "FieldValue", "S3Error", "code_named", "not_implemented"]

FieldValue = str | int | bytes

_BY_TEXT = {code.text: code for code in Code}


def code_named(text: str) -> Code:
    """The row for a code as it stands on the wire; for errors of pure packages that name S3's code themselves."""
    return _BY_TEXT[text]


class S3Error(Exception):
    """An answer that is an error. `fields` become further elements of its document, in the order given."""

    def __init__(self, code: Code, message: str | None = None, **fields: FieldValue) -> None:
        super().__init__(message or code.message)
        self.code = code
        self.message = message or code.message
        self.fields = fields
        self.headers: dict[str, str] = {}

    def with_headers(self, headers: dict[str, str]) -> S3Error:
        """What the answer says in headers as well."""
        self.headers = headers
        return self

    @property
    def status(self) -> int:
        return self.code.status

    def __repr__(self) -> str:
        return f"S3Error({self.code.text}, {self.message!r}, {self.fields!r})"


def not_implemented(message: str, **fields: FieldValue) -> S3Error:
    """What is missing is said, never skipped: a header or sub-resource that we ignored would change its meaning."""
    return S3Error(Code.NOT_IMPLEMENTED, message, **fields)
