"""The access log of a bucket: S3's own record of every request, in a bucket of its own."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component, document
from infra.storage.buckets import BucketArgs, PrivateBucket, forget


@dataclass(frozen=True, kw_only=True)
class AccessLogArgs:
    """Whose requests are recorded, and for how long."""

    protect: bool
    account: pulumi.Input[str]
    source: pulumi.Input[str]
    """Name of the bucket that is watched."""
    days: int


class AccessLog(Component):
    """Access log of `source`: who requested what, from where, and the status. S3 delivers within hours, best effort.

    S3 writes it only to a bucket that encrypts with S3's own keys and has no Object Lock.
    """

    def __init__(self, name: str, args: AccessLogArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.log = PrivateBucket(
            f"{name}-log",
            BucketArgs(protect=args.protect, encryption_key=None, lifecycle=forget(args.days)),
            pulumi.ResourceOptions(parent=self),
        )
        admitted = self._admit_deliveries(args)
        self._record(args.source, admitted)
        self.register_outputs({"log": self.log.name_when_ready})

    def _admit_deliveries(self, args: AccessLogArgs) -> aws.s3.BucketPolicy:
        return aws.s3.BucketPolicy(
            **self.child("policy", pulumi.ResourceOptions(depends_on=[self.log.closed])),
            bucket=self.log.bucket.bucket,
            policy=document(
                policies.access_log_bucket, bucket=self.log.bucket.bucket, source=args.source, account=args.account
            ),
        )

    def _record(self, source: pulumi.Input[str], admitted: aws.s3.BucketPolicy) -> None:
        aws.s3.BucketLogging(
            **self.child("recording", pulumi.ResourceOptions(depends_on=[admitted])),
            bucket=source,
            target_bucket=self.log.name_when_ready,
            target_prefix=policies.ACCESS_LOG,
        )
