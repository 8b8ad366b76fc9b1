"""A private bucket: what every bucket of petpark has, whatever it holds."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    """How a bucket treats its contents."""

    protect: bool
    """Refuse to delete the bucket, with or without contents."""
    encryption_key: pulumi.Input[str] | None
    """ARN of the KMS key of its own; None for S3's keys."""
    lifecycle: Sequence[aws.s3.BucketLifecycleConfigurationRuleArgsDict]


class PrivateBucket(Component):
    """A bucket that is encrypted, versioned, closed to the public, and cleans up after broken uploads.

    Its owner sets the bucket policy, which must refuse plain HTTP.
    """

    def __init__(self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.bucket = aws.s3.Bucket(
            **self.child("bucket", pulumi.ResourceOptions(protect=args.protect)),
            force_destroy=not args.protect,
            tags=self.tagged("bucket"),
        )
        self.versioned = self._keep_versions(args.lifecycle)
        self.closed = self._close_to_the_public()
        self.encrypted = self._encrypt(args.encryption_key)
        self.name_when_ready = self._name_when_ready()
        self.register_outputs({"bucket": self.name_when_ready})

    def _keep_versions(
        self, lifecycle: Sequence[aws.s3.BucketLifecycleConfigurationRuleArgsDict]
    ) -> aws.s3.BucketVersioning:
        versioning = aws.s3.BucketVersioning(
            **self.child("versioning"), bucket=self.bucket.bucket, versioning_configuration={"status": "Enabled"}
        )
        aws.s3.BucketLifecycleConfiguration(
            **self.child("lifecycle", pulumi.ResourceOptions(depends_on=[versioning])),
            bucket=self.bucket.bucket,
            rules=[*lifecycle, ABORT_BROKEN_UPLOADS],
        )
        return versioning

    def _close_to_the_public(self) -> aws.s3.BucketPublicAccessBlock:
        return aws.s3.BucketPublicAccessBlock(
            **self.child("closed"),
            bucket=self.bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
        )

    def _encrypt(self, key: pulumi.Input[str] | None) -> aws.s3.BucketServerSideEncryptionConfiguration:
        return aws.s3.BucketServerSideEncryptionConfiguration(
            **self.child("encryption"),
            bucket=self.bucket.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": (
                        {"sse_algorithm": "AES256"}
                        if key is None
                        else {"sse_algorithm": "aws:kms", "kms_master_key_id": key}
                    ),
                    "bucket_key_enabled": key is not None,
                }
            ],
        )

    def _name_when_ready(self) -> pulumi.Output[str]:
        """The bucket's name, for writers: known once versioning and encryption are in place.

        An object that is created earlier has no version and not our encryption key, and nothing corrects that later.
        """
        ready = pulumi.Output.all(self.bucket.bucket, self.closed.id, self.encrypted.id, self.versioned.id)
        return ready.apply(lambda values: values[0])


ABORT_BROKEN_UPLOADS: aws.s3.BucketLifecycleConfigurationRuleArgsDict = {
    "id": "abort-broken-uploads",
    "status": "Enabled",
    "filter": {"prefix": ""},
    "abort_incomplete_multipart_upload": {"days_after_initiation": 2},
}


def forget_replaced(days: int, prefix: str = "") -> aws.s3.BucketLifecycleConfigurationRuleArgsDict:
    """Keep deleted or replaced objects for `days`, so that a mistake can be taken back, and then let them go."""
    return {
        "id": "forget-replaced",
        "status": "Enabled",
        "filter": {"prefix": prefix},
        "noncurrent_version_expiration": {"noncurrent_days": days},
    }


def forget(days: int) -> list[aws.s3.BucketLifecycleConfigurationRuleArgsDict]:
    """Expire every object after `days`, and its noncurrent versions soon after."""
    return [
        {"id": "forget", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": days}},
        forget_replaced(1),
        {
            # S3 takes this in no rule that gives days, too.
            "id": "forget-deletions",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "expiration": {"expired_object_delete_marker": True},
        },
    ]
