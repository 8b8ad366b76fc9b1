"""What a workflow may change of the platform: buckets, keys, the table of recorded predictions, Pulumi's state."""

from infra.policies.deploying.stack import BUCKETS, Deploying, catalog_arns, of_this_stack
from infra.policies.statements import Statement, allow, bucket_arn, objects_arn


def change_platform(to: Deploying) -> list[Statement]:
    """Buckets and keys. Objects are deleted only with their bucket, which `petpark:protect_data` forbids."""
    buckets = [
        "s3:CreateBucket",
        "s3:DeleteBucket",
        "s3:DeleteBucketPolicy",
        "s3:ListBucketVersions",
        "s3:PutBucketLogging",
        "s3:PutBucketNotification",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketPolicy",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketTagging",
        "s3:PutBucketVersioning",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
    ]
    keys = [
        "kms:CreateAlias",
        "kms:DeleteAlias",
        "kms:EnableKeyRotation",
        "kms:PutKeyPolicy",
        "kms:ScheduleKeyDeletion",
        "kms:TagResource",
    ]
    here = f"arn:aws:kms:{to.region}:{to.account}"
    return [
        allow(buckets, [bucket_arn(name) for name in BUCKETS]),
        allow(["s3:DeleteObject", "s3:DeleteObjectVersion"], [objects_arn(name, "") for name in BUCKETS]),
        allow(["kms:CreateKey"], ["*"]),
        allow(keys, [f"{here}:key/*"], of_this_stack(to)),
        allow(["kms:CreateAlias", "kms:DeleteAlias"], [f"{here}:alias/petpark-{to.stack}-*"]),
    ]


def change_telemetry(to: Deploying) -> list[Statement]:
    """The table of recorded predictions. Deleting a database also needs permissions on its tables and functions.

    https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html
    """
    here, name = f"{to.region}:{to.account}", f"petpark_{to.stack.replace('-', '_')}"
    change = [
        "glue:CreateDatabase",
        "glue:CreateTable",
        "glue:DeleteDatabase",
        "glue:DeleteTable",
        "glue:UpdateDatabase",
        "glue:UpdateTable",
    ]
    functions = f"arn:aws:glue:{here}:userDefinedFunction/{name}/*"
    return [
        allow(change, [*catalog_arns(here, name), functions]),
        allow(["glue:TagResource"], [f"arn:aws:glue:{here}:database/{name}"]),
    ]


def write_state(bucket: str) -> list[Statement]:
    """Write states, their history and locks, and delete locks.

    https://www.pulumi.com/docs/iac/concepts/state-and-backends/#aws-s3
    """
    return [allow(["s3:DeleteObject", "s3:PutObject"], [objects_arn(bucket, ".pulumi/")])]
