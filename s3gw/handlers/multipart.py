"""Multipart uploads: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from cyxcloud.core.checksums import Algorithm
from cyxcloud.objects import multipart
from cyxcloud.objects.attributes import Checksum
from cyxcloud.objects.multipart import Completion, ListedPart
from cyxcloud.objects.part_checksums import ChecksumPlan, allowed, default_type
from cyxcloud.objects.put import Target
from cyxcloud.objects.quota import PartOf, check_early
from s3gw import encryption, locks, xml, xml_reader
from s3gw import request as req
from s3gw.acl_headers import new_object, with_acl, writer_of
from s3gw.checksums import parse_checksum
from s3gw.context import RequestContext, Response, xml_response
from s3gw.errors import Code, S3Error
from s3gw.handlers.copy import named_algorithm
from s3gw.handlers.lifecycle import abort_headers, expiration_header
from s3gw.handlers.objects import new_attributes, stored_headers
from s3gw.parameters import part_number
from s3gw.upload_ids import parse_upload_id, upload_text

CHECKSUM_TYPE = "x-amz-checksum-type"
OBJECT_SIZE = "x-amz-mp-object-size"


async def create_multipart_upload(ctx: RequestContext) -> Response:
    plan = _plan(ctx)
    owned, initiator = new_object(ctx, ctx.headers), writer_of(ctx)
    sealing = await encryption.sealing_of_new(ctx)
    storage_class = req.storage_class(ctx.headers)
    target = Target(ctx.bucket.id, ctx.key, owned.owner, storage_class=storage_class, sealing=sealing)
    attributes = with_acl(new_attributes(ctx), owned)
    if initiator != owned.owner:
        attributes = replace(attributes, initiator=initiator)
    upload = await multipart.create(ctx.store, target, attributes, plan)
    headers = encryption.answer(ctx.headers, sealing.encryption, context=True)
    if plan.algorithm:
        headers |= {"x-amz-checksum-algorithm": plan.algorithm, CHECKSUM_TYPE: plan.type}
    headers |= abort_headers(ctx, ctx.store.clock.now_ms())
    document = xml.initiate_multipart_upload(ctx.bucket.name, ctx.key, upload_text(upload))
    return xml_response(document, headers=headers)


def _plan(ctx: RequestContext) -> ChecksumPlan:
    algorithm = named_algorithm(ctx)
    kind = ctx.headers.get(CHECKSUM_TYPE, "").upper()
    if algorithm is None:
        if kind:
            raise S3Error(
                Code.INVALID_REQUEST,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm",
            )
        return ChecksumPlan()
    kind = kind or default_type(algorithm)
    if not allowed(algorithm, kind):
        raise S3Error(
            Code.INVALID_REQUEST,
            f"The {kind} checksum type cannot be used with the {algorithm.value.lower()} checksum algorithm.",
        )
    return ChecksumPlan(algorithm.value, kind)


async def upload_part(ctx: RequestContext) -> Response:
    number = part_number(ctx.query)
    assert number is not None, "the operation's row demands it"
    if ctx.body.length is None and ctx.headers.get("transfer-encoding", "").lower() != "chunked":
        raise S3Error(Code.MISSING_CONTENT_LENGTH)
    upload = multipart.find(ctx.store, ctx.bucket.id, ctx.key, parse_upload_id(ctx.query["uploadId"]))
    if not ctx.body.checked:
        locks.demand_digest(ctx, multipart.begun_lock(upload), "Put Part")
    check_early(ctx.store, ctx.bucket, ctx.key, ctx.body.length or 0, PartOf(upload.id, number))
    plan = multipart.checksum_plan(upload)
    given = parse_checksum(ctx.headers)
    if given is not None and plan.algorithm and given.algorithm.value != plan.algorithm:
        raise S3Error(
            Code.INVALID_REQUEST,
            f"Checksum Type mismatch occurred, expected checksum Type: {plan.algorithm.lower()}, "
            f"actual checksum Type: {given.algorithm.value.lower()}",
        )
    if plan.algorithm:
        ctx.body.compute(Algorithm(plan.algorithm))
    sealing = await encryption.sealing_of_part(ctx, upload)
    etag, checksum = await multipart.put_part(ctx.store, upload, number, ctx.body, sealing)
    headers = {"ETag": f'"{etag}"'} | encryption.answer(ctx.headers, sealing.encryption)
    if checksum is not None:
        headers[f"x-amz-checksum-{checksum.algorithm.lower()}"] = checksum.value
    return Response(200, headers)


async def complete_multipart_upload(ctx: RequestContext) -> Response:
    document = xml_reader.parse_complete_multipart(await ctx.body.read_document(xml_reader.MAX_COMPLETE_BYTES))
    listed = tuple(ListedPart(part.number, part.etag, part.checksums) for part in document.parts)
    completion = Completion(listed, req.write_conditions(ctx.headers), _claimed(ctx), _claimed_size(ctx))
    cause = ctx.cause("ObjectCreated:CompleteMultipartUpload")
    target = Target(ctx.bucket.id, ctx.key, writer_of(ctx), completion.conditions, cause=cause)
    upload = multipart.find_begun(ctx.store, ctx.bucket.id, ctx.key, parse_upload_id(ctx.query["uploadId"]))
    encryption.check_key_of_upload(ctx, upload)
    stored = await multipart.complete(ctx.store, upload.id, target, completion)
    document_out = xml.complete_multipart_upload(_location(ctx), ctx.bucket.name, ctx.key, stored.etag, stored.checksum)
    headers = stored_headers(stored) | encryption.answer(ctx.headers, encryption.of_upload(upload))
    headers |= expiration_header(ctx, stored.size, stored.mtime_ms, multipart.begun_with(upload).tags)
    del headers["ETag"]
    return xml_response(document_out, headers=headers)


def _location(ctx: RequestContext) -> str:
    return f"{ctx.scheme}://{ctx.headers['host']}/{ctx.bucket.name}/{quote(ctx.key)}"


def _claimed(ctx: RequestContext) -> Checksum | None:
    """The checksum of the whole object that the client expects, where it names one."""
    for algorithm in Algorithm:
        value = ctx.headers.get(f"x-amz-checksum-{algorithm.value.lower()}")
        if value is not None:
            return Checksum(algorithm.value, value, ctx.headers.get(CHECKSUM_TYPE, "").upper())
    return None


def _claimed_size(ctx: RequestContext) -> int | None:
    text = ctx.headers.get(OBJECT_SIZE)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise S3Error(Code.INVALID_REQUEST, f"Value for {OBJECT_SIZE} header is invalid.")
    return int(text)


async def abort_multipart_upload(ctx: RequestContext) -> Response:
    upload = multipart.find(ctx.store, ctx.bucket.id, ctx.key, parse_upload_id(ctx.query["uploadId"]))
    await multipart.abort(ctx.store, upload)
    return Response(204, {})
