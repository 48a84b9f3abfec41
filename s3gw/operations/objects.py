"""The rows of objects and of what an object carries: its tags, its ACL, its locks (pure)."""

from __future__ import annotations

from cyxcloud.objects.rights import Permission
from s3gw.operations.row import COPY_SOURCE, GRANTS, NEW_OBJECT, READ_OBJECT, SSE_C, STREAM, XML, row

P = Permission  # the table is read by its columns

OBJECT_ROWS = (
    row("PutObject", "PUT /b/k", P.PUT_OBJECT, STREAM, handler="put_object", headers=NEW_OBJECT),
    row(
        "CopyObject",
        "PUT /b/k",
        P.PUT_OBJECT,
        handler="copy_object",
        source=("x-amz-copy-source",),
        headers=NEW_OBJECT + COPY_SOURCE + "x-amz-metadata-directive x-amz-tagging-directive",
    ),
    row("GetObject", "GET /b/k", P.GET_OBJECT, handler="get_object", optional=READ_OBJECT, headers=SSE_C),
    row("HeadObject", "HEAD /b/k", P.GET_OBJECT, handler="head_object", optional=READ_OBJECT, headers=SSE_C),
    row(
        "DeleteObject",
        "DELETE /b/k",
        P.DELETE_OBJECT,
        handler="delete_object",
        optional="versionId",
        headers="x-amz-mfa x-amz-bypass-governance-retention x-amz-if-match-last-modified-time x-amz-if-match-size",
    ),
    row(
        "GetObjectAttributes",
        "GET /b/k?attributes",
        P.GET_OBJECT_ATTRIBUTES,
        handler="get_object_attributes",
        optional="versionId",
        headers=SSE_C + "x-amz-object-attributes x-amz-max-parts x-amz-part-number-marker",
    ),
    row("GetObjectAcl", "GET /b/k?acl", P.GET_OBJECT_ACL, handler="get_object_acl", optional="versionId"),
    row(
        "PutObjectAcl",
        "PUT /b/k?acl",
        P.PUT_OBJECT_ACL,
        XML,
        handler="put_object_acl",
        optional="versionId",
        headers=GRANTS,
    ),
    row("GetObjectAnnotation", "GET /b/k?annotation&annotationName", P.GET_OBJECT_ANNOTATION),
    row("ListObjectAnnotations", "GET /b/k?annotation", P.LIST_OBJECT_ANNOTATIONS),
    row("PutObjectAnnotation", "PUT /b/k?annotation", P.PUT_OBJECT_ANNOTATION, STREAM),
    row("DeleteObjectAnnotation", "DELETE /b/k?annotation", P.DELETE_OBJECT_ANNOTATION),
    row(
        "GetObjectLegalHold",
        "GET /b/k?legal-hold",
        P.GET_OBJECT_LEGAL_HOLD,
        handler="get_object_legal_hold",
        optional="versionId",
    ),
    row(
        "PutObjectLegalHold",
        "PUT /b/k?legal-hold",
        P.PUT_OBJECT_LEGAL_HOLD,
        XML,
        handler="put_object_legal_hold",
        optional="versionId",
    ),
    row(
        "GetObjectRetention",
        "GET /b/k?retention",
        P.GET_OBJECT_RETENTION,
        handler="get_object_retention",
        optional="versionId",
    ),
    row(
        "PutObjectRetention",
        "PUT /b/k?retention",
        P.PUT_OBJECT_RETENTION,
        XML,
        handler="put_object_retention",
        optional="versionId",
        headers="x-amz-bypass-governance-retention",
    ),
    row(
        "GetObjectTagging",
        "GET /b/k?tagging",
        P.GET_OBJECT_TAGGING,
        handler="get_object_tagging",
        optional="versionId",
    ),
    row(
        "PutObjectTagging",
        "PUT /b/k?tagging",
        P.PUT_OBJECT_TAGGING,
        XML,
        handler="put_object_tagging",
        optional="versionId",
    ),
    row(
        "DeleteObjectTagging",
        "DELETE /b/k?tagging",
        P.DELETE_OBJECT_TAGGING,
        handler="delete_object_tagging",
        optional="versionId",
    ),
    row("GetObjectTorrent", "GET /b/k?torrent", P.GET_OBJECT_TORRENT),
    row("RenameObject", "PUT /b/k?renameObject", P.PUT_OBJECT),
    row("RestoreObject", "POST /b/k?restore", P.RESTORE_OBJECT, XML, handler="restore_object", optional="versionId"),
    row("SelectObjectContent", "POST /b/k?select&select-type=2", P.GET_OBJECT, XML),
    row("UpdateObjectEncryption", "PUT /b/k?encryption", P.UPDATE_OBJECT_ENCRYPTION, XML),
)
