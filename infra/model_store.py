"""The bucket behind `registry`, and the two keys: one encrypts what is stored, one signs what is certified."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.buckets import BucketArgs, PrivateBucket
from infra.component import Component, document

_KEY_DELETION_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class ModelStoreArgs:
    """Who may do what nobody else may, and how the store treats its contents."""

    protect: bool
    account: pulumi.Input[str]
    certifier: pulumi.Input[str]
    """ARN of the only role that signs."""
    collector: pulumi.Input[str]
    """ARN of the only role that deletes."""


class ModelStore(Component):
    """Write-once, encrypted, private: every object is created, none is overwritten, only the collector deletes."""

    def __init__(self, name: str, args: ModelStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.encryption_key = self._create_encryption_key(args)
        self.signing_key = self._create_signing_key(args)
        self.store = PrivateBucket(
            f"{name}-store",
            BucketArgs(protect=args.protect, encryption_key=self.encryption_key.arn, lifecycle=[]),
            pulumi.ResourceOptions(parent=self),
        )
        self.bucket = self.store.bucket
        self._refuse_to_change_the_past(args.collector)
        self.register_outputs({"bucket": self.store.name_when_ready, "signing_key": self.signing_key.arn})

    def _create_encryption_key(self, args: ModelStoreArgs) -> aws.kms.Key:
        key = aws.kms.Key(
            **self.child("encryption", pulumi.ResourceOptions(protect=args.protect)),
            description="Encrypts petpark's model store",
            enable_key_rotation=True,
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
            policy=document(policies.signing_key, account=args.account, certifier=args.certifier),
            deletion_window_in_days=_KEY_DELETION_DAYS,
            tags=self.tagged("signing"),
        )
        self._name_key("signing", key)
        return key

    def _name_key(self, part: str, key: aws.kms.Key) -> None:
        alias = f"alias/{pulumi.get_project()}-{pulumi.get_stack()}-{part}"
        aws.kms.Alias(**self.child(f"{part}-alias"), name=alias, target_key_id=key.key_id)

    def _refuse_to_change_the_past(self, collector: pulumi.Input[str]) -> None:
        aws.s3.BucketPolicy(
            **self.child("policy", pulumi.ResourceOptions(depends_on=[self.store.closed])),
            bucket=self.bucket.bucket,
            policy=document(
                policies.write_once_bucket,
                bucket=self.bucket.bucket,
                encryption_key=self.encryption_key.arn,
                collector=collector,
            ),
        )
