"""The bucket behind `registry`, and the two keys: one encrypts what is stored, one signs what is certified."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component, document
from infra.policies import Accounts
from infra.storage.access_log import AccessLog, AccessLogArgs
from infra.storage.buckets import BucketArgs, PrivateBucket, forget_replaced
from registry.channel_policy import ChannelPolicy
from registry.layout.model_store import Prefix, object_prefix

_KEY_DELETION_DAYS = 7
_UNDO_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class ModelStoreArgs:
    """Roles with exclusive permissions, and how the store treats its contents."""

    protect: bool
    account: pulumi.Input[str]
    certifier: pulumi.Input[str]
    """ARN of the only role that signs."""
    collector: pulumi.Input[str]
    """ARN of the only role that deletes."""
    promoter_id: pulumi.Input[str]
    """Unique id of the role that moves channels."""
    model: str
    channels: Mapping[str, ChannelPolicy]
    accounts: Accounts
    """Stacks in other accounts, whose endpoints read and verify."""
    object_lock_days: int
    """Days for which S3 itself keeps every object from being deleted for good; 0 for none."""
    log_days: int


class ModelStore(Component):
    """Write-once, encrypted, private: every object is created, none is overwritten, only the collector deletes.

    What the collector deletes gets a delete marker, and can be taken back for 30 days. With Object Lock that is still
    so; what the lock refuses, for as long as it lasts, is the deletion of a revision for good, to everybody without
    `s3:BypassGovernanceRetention`, which no role of petpark has.
    """

    def __init__(self, name: str, args: ModelStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.encryption_key = self._create_encryption_key(args)
        self.signing_key = self._create_signing_key(args)
        self.store = PrivateBucket(
            f"{name}-store",
            BucketArgs(
                protect=args.protect,
                encryption_key=self.encryption_key.arn,
                # Only collected blobs: what versions, channels and certificates were is kept for good.
                lifecycle=[forget_replaced(_UNDO_DAYS, object_prefix(args.model, Prefix.BLOBS))],
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.bucket = self.store.bucket
        self._refuse_to_change_the_past(args)
        if args.object_lock_days:
            self._retain(args.object_lock_days)
        self._record_access(args)
        self.register_outputs({"bucket": self.store.name_when_ready, "signing_key": self.signing_key.arn})

    def _create_encryption_key(self, args: ModelStoreArgs) -> aws.kms.Key:
        key = aws.kms.Key(
            **self.child("encryption", pulumi.ResourceOptions(protect=args.protect)),
            description="Encrypts petpark's model store",
            enable_key_rotation=True,
            policy=document(policies.encryption_key, account=args.account, accounts=args.accounts),
            deletion_window_in_days=_KEY_DELETION_DAYS,
            tags=self.tagged("encryption"),
        )
        self._name_key("encryption", key)
        return key

    def _create_signing_key(self, args: ModelStoreArgs) -> aws.kms.Key:
        key = aws.kms.Key(
            **self.child("signing", pulumi.ResourceOptions(protect=args.protect)),
            description="Signs petpark's certificates",
            key_usage="SIGN_VERIFY",
            customer_master_key_spec="ECC_NIST_P256",
            policy=document(
                policies.signing_key, account=args.account, certifier=args.certifier, accounts=args.accounts
            ),
            deletion_window_in_days=_KEY_DELETION_DAYS,
            tags=self.tagged("signing"),
        )
        self._name_key("signing", key)
        return key

    def _name_key(self, part: str, key: aws.kms.Key) -> None:
        alias = f"alias/{pulumi.get_project()}-{pulumi.get_stack()}-{part}"
        aws.kms.Alias(**self.child(f"{part}-alias"), name=alias, target_key_id=key.key_id)

    def _refuse_to_change_the_past(self, args: ModelStoreArgs) -> None:
        aws.s3.BucketPolicy(
            **self.child("policy", pulumi.ResourceOptions(depends_on=[self.store.closed])),
            bucket=self.bucket.bucket,
            policy=document(
                policies.write_once_bucket,
                bucket=self.bucket.bucket,
                encryption_key=self.encryption_key.arn,
                collector=args.collector,
                promoter_id=args.promoter_id,
                model=args.model,
                channels=args.channels,
                accounts=args.accounts,
            ),
        )

    def _retain(self, days: int) -> None:
        # This alone turns Object Lock on, in a bucket that is in use, too. The bucket's own property of that name would
        # replace the bucket, and every version with it.
        aws.s3.BucketObjectLockConfiguration(
            **self.child("lock", pulumi.ResourceOptions(depends_on=[self.store.versioned])),
            bucket=self.bucket.bucket,
            rule={"default_retention": {"mode": "GOVERNANCE", "days": days}},
        )

    def _record_access(self, args: ModelStoreArgs) -> None:
        AccessLog(
            f"{self.name}-access",
            AccessLogArgs(
                protect=args.protect, account=args.account, source=self.store.name_when_ready, days=args.log_days
            ),
            pulumi.ResourceOptions(parent=self),
        )
