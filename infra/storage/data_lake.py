"""Photos and manifests, and the workspace in which training happens."""

from collections.abc import Callable
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component, document
from infra.policies import Accounts, Document
from infra.storage.buckets import BucketArgs, PrivateBucket, forget_replaced
from registry.layout.data_lake import EVENT_PICTURES
from registry.layout.jobs import JOBS
from registry.telemetry import TELEMETRY

_CHECKPOINT_DAYS = 90
_PICTURE_DAYS = 30
_UNDO_DAYS = 30


@dataclass(frozen=True, kw_only=True)
class DataLakeArgs:
    """How the data lake treats its contents."""

    protect: bool
    telemetry_days: int
    """Days that recorded predictions are kept."""
    accounts: Accounts
    """Stacks in other accounts: their endpoints add events, and their code bundles are kept here."""


class DataLake(Component):
    """Two buckets: `lake` holds what models are made of, `workspace` what their making needs.

    Photos stay until somebody deletes them; so do the events of cameras, but their pictures go after a month, and
    recorded predictions after the days that the settings state. Jobs
    leave the workspace after a while: what they found out is in the registry by then. Code bundles stay, so that an old
    version can be made again.
    """

    def __init__(self, name: str, args: DataLakeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.lake = PrivateBucket(
            f"{name}-lake",
            BucketArgs(
                protect=args.protect,
                encryption_key=None,
                lifecycle=[_FORGET_PICTURES, _forget_telemetry(args.telemetry_days), forget_replaced(_UNDO_DAYS)],
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.workspace = PrivateBucket(
            f"{name}-workspace",
            BucketArgs(
                protect=args.protect, encryption_key=None, lifecycle=[_FORGET_JOBS, forget_replaced(_UNDO_DAYS)]
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self._guard("lake", self.lake, policies.lake_bucket, args)
        self._guard("workspace", self.workspace, policies.workspace_bucket, args)
        self.register_outputs({"lake": self.lake.name_when_ready, "workspace": self.workspace.name_when_ready})

    def _guard(self, part: str, private: PrivateBucket, decide: Callable[..., Document], args: DataLakeArgs) -> None:
        aws.s3.BucketPolicy(
            **self.child(f"{part}-policy", pulumi.ResourceOptions(depends_on=[private.closed])),
            bucket=private.bucket.bucket,
            policy=document(decide, bucket=private.bucket.bucket, accounts=args.accounts),
        )


def _forget_telemetry(days: int) -> aws.s3.BucketLifecycleConfigurationRuleArgsDict:
    return {
        "id": "forget-telemetry",
        "status": "Enabled",
        "filter": {"prefix": TELEMETRY},
        "expiration": {"days": days},
        "noncurrent_version_expiration": {"noncurrent_days": 1},
    }


_FORGET_JOBS: aws.s3.BucketLifecycleConfigurationRuleArgsDict = {
    "id": "forget-jobs",
    "status": "Enabled",
    "filter": {"prefix": JOBS},
    "expiration": {"days": _CHECKPOINT_DAYS},
}

_FORGET_PICTURES: aws.s3.BucketLifecycleConfigurationRuleArgsDict = {
    "id": "forget-event-pictures",
    "status": "Enabled",
    "filter": {"prefix": EVENT_PICTURES},
    "expiration": {"days": _PICTURE_DAYS},
    "noncurrent_version_expiration": {"noncurrent_days": 1},
}
