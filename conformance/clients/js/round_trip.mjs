// aws-sdk-js v3: objects, streams, parts, conditions, presigned URLs, paginated listings, batch deletes.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  CopyObjectCommand, CreateBucketCommand, DeleteBucketCommand, DeleteObjectsCommand, GetObjectCommand,
  HeadObjectCommand, PutObjectCommand, S3Client, paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const Bucket = process.argv[2];
const s3 = new S3Client({ forcePathStyle: true });
const bytes = async (answer) => Buffer.from(await answer.Body.transformToByteArray());

await s3.send(new CreateBucketCommand({ Bucket }));
const small = await s3.send(new PutObjectCommand({ Bucket, Key: "dir/ü +&?", Body: "hello", Metadata: { colour: "blue" } }));
assert.ok(small.ChecksumCRC32, "the SDK's own checksum comes back");
const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "dir/ü +&?" }));
assert.equal(head.Metadata.colour, "blue");
for (const ChecksumAlgorithm of ["CRC32C", "SHA1", "SHA256"]) {
  await s3.send(new PutObjectCommand({ Bucket, Key: `sum/${ChecksumAlgorithm}`, Body: "abc", ChecksumAlgorithm }));
  const got = await s3.send(new GetObjectCommand({ Bucket, Key: `sum/${ChecksumAlgorithm}`, ChecksumMode: "ENABLED" }));
  assert.equal((await bytes(got)).toString(), "abc");
}

const body = randomBytes(17 << 20);
await new Upload({ client: s3, params: { Bucket, Key: "big", Body: Readable.from(body) }, partSize: 5 << 20 }).done();
assert.deepEqual(await bytes(await s3.send(new GetObjectCommand({ Bucket, Key: "big" }))), body);
const range = await s3.send(new GetObjectCommand({ Bucket, Key: "big", Range: "bytes=-100" }));
assert.deepEqual(await bytes(range), body.subarray(body.length - 100));

await s3.send(new PutObjectCommand({ Bucket, Key: "lock", Body: "1", IfNoneMatch: "*" }));
await assert.rejects(s3.send(new PutObjectCommand({ Bucket, Key: "lock", Body: "2", IfNoneMatch: "*" })), { name: "PreconditionFailed" });
await assert.rejects(s3.send(new GetObjectCommand({ Bucket, Key: "absent" })), { name: "NoSuchKey" });
await s3.send(new CopyObjectCommand({ Bucket, Key: "copy", CopySource: `${Bucket}/big` }));

const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: "lock" }), { expiresIn: 60 });
assert.equal(await (await fetch(url)).text(), "1");
// By default a URL would carry the checksum of the empty body that the SDK has when it signs.
const plain = new S3Client({ forcePathStyle: true, requestChecksumCalculation: "WHEN_REQUIRED" });
const put = await getSignedUrl(plain, new PutObjectCommand({ Bucket, Key: "signed" }), { expiresIn: 60 });
assert.equal((await fetch(put, { method: "PUT", body: "by URL" })).status, 200);

const keys = [];
for await (const page of paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket })) {
  keys.push(...page.Contents.map(({ Key }) => ({ Key })));
}
assert.equal(keys.length, 8);
const gone = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: keys } }));
assert.equal(gone.Deleted.length, 8);
await s3.send(new DeleteBucketCommand({ Bucket }));
