// aws-sdk-go-v2: objects, the upload and download managers, conditions, presigned URLs, listings, batch deletes.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

var ctx = context.Background()

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func refused(err error, code string) {
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		log.Fatalf("expected %s, got %v", code, err)
	}
}

func main() {
	bucket := aws.String(os.Args[1])
	client := s3.NewFromConfig(must(config.LoadDefaultConfig(ctx)), func(o *s3.Options) { o.UsePathStyle = true })
	must(client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}))
	key := aws.String("dir/ü +&?")
	must(client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: bucket, Key: key, Body: bytes.NewReader([]byte("hello")), Metadata: map[string]string{"colour": "blue"},
	}))
	head := must(client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key}))
	if head.Metadata["colour"] != "blue" {
		log.Fatal("metadata lost")
	}

	body := make([]byte, 23<<20)
	must(rand.Read(body))
	big := aws.String("big")
	uploader := manager.NewUploader(client, func(u *manager.Uploader) { u.PartSize = 5 << 20 })
	must(uploader.Upload(ctx, &s3.PutObjectInput{Bucket: bucket, Key: big, Body: io.MultiReader(bytes.NewReader(body))}))
	back := manager.NewWriteAtBuffer(nil)
	must(manager.NewDownloader(client).Download(ctx, back, &s3.GetObjectInput{Bucket: bucket, Key: big}))
	if !bytes.Equal(back.Bytes(), body) {
		log.Fatal("other bytes came back")
	}

	lock := &s3.PutObjectInput{Bucket: bucket, Key: aws.String("lock"), IfNoneMatch: aws.String("*")}
	lock.Body = bytes.NewReader([]byte("1"))
	must(client.PutObject(ctx, lock))
	lock.Body = bytes.NewReader([]byte("2"))
	_, err := client.PutObject(ctx, lock)
	refused(err, "PreconditionFailed")
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("absent")})
	refused(err, "NoSuchKey")
	must(client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("copy"), CopySource: aws.String(*bucket + "/big")}))

	signed := must(s3.NewPresignClient(client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: lock.Key}, s3.WithPresignExpires(time.Minute)))
	answer := must(http.Get(signed.URL))
	if text := must(io.ReadAll(answer.Body)); string(text) != "1" {
		log.Fatalf("presigned: %s", text)
	}

	var doomed []types.ObjectIdentifier
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: aws.Int32(2)})
	for pages.HasMorePages() {
		for _, object := range must(pages.NextPage(ctx)).Contents {
			doomed = append(doomed, types.ObjectIdentifier{Key: object.Key})
		}
	}
	if len(doomed) != 4 {
		log.Fatalf("%d keys listed", len(doomed))
	}
	must(client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: doomed}}))
	must(client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: bucket}))
}
