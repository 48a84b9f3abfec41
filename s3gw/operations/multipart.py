"""The rows of an upload in parts, from its beginning to its end (pure)."""

from __future__ import annotations

from cyxcloud.objects.rights import Permission
from s3gw.operations.row import AS_BEGUN, COPY_SOURCE, NEW_OBJECT, SSE_C, STREAM, XML, row

P = Permission  # the table is read by its columns

MULTIPART_ROWS = (
    row(
        "CreateMultipartUpload",
        "POST /b/k?uploads",
        P.PUT_OBJECT,
        handler="create_multipart_upload",
        headers=NEW_OBJECT,
    ),
    row(
        "UploadPart",
        "PUT /b/k?uploadId&partNumber",
        P.PUT_OBJECT,
        STREAM,
        handler="upload_part",
        headers=SSE_C + AS_BEGUN,
    ),
    row(
        "UploadPartCopy",
        "PUT /b/k?uploadId&partNumber",
        P.PUT_OBJECT,
        handler="upload_part_copy",
        source=("x-amz-copy-source",),
        headers=SSE_C + AS_BEGUN + COPY_SOURCE + "x-amz-copy-source-range",
    ),
    row(
        "CompleteMultipartUpload",
        "POST /b/k?uploadId",
        P.PUT_OBJECT,
        XML,
        handler="complete_multipart_upload",
        headers=SSE_C + AS_BEGUN + "x-amz-mp-object-size",
    ),
    row("AbortMultipartUpload", "DELETE /b/k?uploadId", P.ABORT_MULTIPART_UPLOAD, handler="abort_multipart_upload"),
    row(
        "ListParts",
        "GET /b/k?uploadId",
        P.LIST_MULTIPART_UPLOAD_PARTS,
        handler="list_parts",
        optional="max-parts part-number-marker",
        headers=SSE_C,
    ),
)
