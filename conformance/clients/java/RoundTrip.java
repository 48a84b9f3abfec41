import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3Configuration;
import software.amazon.awssdk.services.s3.model.ChecksumAlgorithm;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.NoSuchKeyException;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;
import software.amazon.awssdk.services.s3.model.S3Exception;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;

/** aws-sdk-java v2: objects, checksums, parts, ranges, conditions, presigned URLs, listings, batch deletes. */
public final class RoundTrip {
  public static void main(String[] arguments) throws Exception {
    String bucket = arguments[0];
    URI endpoint = URI.create(System.getenv("AWS_ENDPOINT_URL"));
    try (S3Client s3 = S3Client.builder().endpointOverride(endpoint).forcePathStyle(true).build()) {
      s3.createBucket(b -> b.bucket(bucket));
      String key = "dir/ü +&?";
      s3.putObject(b -> b.bucket(bucket).key(key).metadata(Map.of("colour", "blue")), RequestBody.fromString("hello"));
      check("blue".equals(s3.headObject(b -> b.bucket(bucket).key(key)).metadata().get("colour")), "metadata");
      for (ChecksumAlgorithm sum : List.of(ChecksumAlgorithm.CRC32_C, ChecksumAlgorithm.SHA1, ChecksumAlgorithm.SHA256)) {
        s3.putObject(b -> b.bucket(bucket).key("sum").checksumAlgorithm(sum), RequestBody.fromString("abc"));
        check("abc".equals(s3.getObjectAsBytes(b -> b.bucket(bucket).key("sum")).asUtf8String()), "checksum " + sum);
      }
      byte[] body = new byte[11 << 20];
      new Random(7).nextBytes(body);
      parts(s3, bucket, body);
      check(Arrays.equals(body, s3.getObjectAsBytes(b -> b.bucket(bucket).key("big")).asByteArray()), "parts");
      byte[] tail = s3.getObjectAsBytes(b -> b.bucket(bucket).key("big").range("bytes=-10")).asByteArray();
      check(Arrays.equals(Arrays.copyOfRange(body, body.length - 10, body.length), tail), "range");
      s3.copyObject(b -> b.sourceBucket(bucket).sourceKey("big").destinationBucket(bucket).destinationKey("copy"));

      s3.putObject(b -> b.bucket(bucket).key("lock").ifNoneMatch("*"), RequestBody.fromString("1"));
      try {
        s3.putObject(b -> b.bucket(bucket).key("lock").ifNoneMatch("*"), RequestBody.fromString("2"));
        check(false, "a second create went through");
      } catch (S3Exception refused) {
        check(refused.statusCode() == 412, "status " + refused.statusCode());
      }
      try {
        s3.getObject(b -> b.bucket(bucket).key("absent"));
        check(false, "an absent key was read");
      } catch (NoSuchKeyException expected) {
        check(expected.statusCode() == 404, "absent");
      }
      presigned(bucket, endpoint);
      remove(s3, bucket);
    }
  }

  private static void parts(S3Client s3, String bucket, byte[] body) {
    String upload = s3.createMultipartUpload(b -> b.bucket(bucket).key("big")).uploadId();
    List<CompletedPart> done = new ArrayList<>();
    for (int at = 0, number = 1; at < body.length; at += 5 << 20, number++) {
      byte[] part = Arrays.copyOfRange(body, at, Math.min(body.length, at + (5 << 20)));
      int n = number;
      String etag = s3.uploadPart(b -> b.bucket(bucket).key("big").uploadId(upload).partNumber(n), RequestBody.fromBytes(part)).eTag();
      done.add(CompletedPart.builder().partNumber(n).eTag(etag).build());
    }
    s3.completeMultipartUpload(b -> b.bucket(bucket).key("big").uploadId(upload).multipartUpload(m -> m.parts(done)));
  }

  private static void presigned(String bucket, URI endpoint) throws Exception {
    try (S3Presigner signer = S3Presigner.builder().endpointOverride(endpoint)
        .serviceConfiguration(S3Configuration.builder().pathStyleAccessEnabled(true).build()).build()) {
      var url = signer.presignGetObject(p -> p.signatureDuration(Duration.ofMinutes(1)).getObjectRequest(g -> g.bucket(bucket).key("lock"))).url();
      var answer = HttpClient.newHttpClient().send(HttpRequest.newBuilder(url.toURI()).build(), HttpResponse.BodyHandlers.ofString());
      check("1".equals(answer.body()), "presigned: " + answer.body());
    }
  }

  private static void remove(S3Client s3, String bucket) {
    List<ObjectIdentifier> keys = new ArrayList<>();
    s3.listObjectsV2Paginator(b -> b.bucket(bucket).maxKeys(2)).contents()
        .forEach(each -> keys.add(ObjectIdentifier.builder().key(each.key()).build()));
    check(keys.size() == 5, keys.size() + " keys listed");
    check(s3.deleteObjects(b -> b.bucket(bucket).delete(d -> d.objects(keys))).deleted().size() == 5, "deleted");
    s3.deleteBucket(b -> b.bucket(bucket));
  }

  private static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }
}
