"""The statements that policies are made of, and how they are written."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

type Document = dict[str, Any]
type Statement = dict[str, Any]
type Accounts = Mapping[str, str]
"""Stacks that have their own AWS account: stack name -> account id."""

ENDPOINT_ROLE = "endpoint-machine-role"
"""Prefix of the role names of endpoints' instances, in every stack."""


def as_json(policy: Document) -> str:
    """Write a policy as AWS stores it, without unnecessary spaces."""
    return json.dumps(policy, separators=(",", ":"))


def document(statements: Iterable[Statement]) -> Document:
    """A policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: list[str], resources: list[str], conditions: Mapping[str, Any] | None = None) -> Statement:
    """Allow actions on resources, to whom the policy belongs."""
    statement: Statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": conditions} if conditions else statement


def refuse(sid: str, actions: list[str], resources: list[str], conditions: Mapping[str, Any]) -> Statement:
    """Refuse actions on resources to everybody, in a resource's own policy."""
    statement = {"Effect": "Deny", "Principal": "*", "Action": actions, "Resource": resources}
    return {"Sid": sid, **statement, "Condition": dict(conditions)}


def let_in(sid: str, account: str, actions: list[str], resources: list[str]) -> Statement:
    """Let another account's identities do something, as far as their own policies allow it, in a resource's policy.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
    """
    return {"Sid": sid, **allow(actions, resources), "Principal": {"AWS": f"arn:aws:iam::{account}:root"}}


def let_endpoints_in(
    sid: str, accounts: Accounts, actions: list[str], resources: list[str], conditions: Mapping[str, Any] | None = None
) -> list[Statement]:
    """Do the same for all `accounts`, but only their endpoints' roles, by the prefix of the names that Pulumi gives.

    A role that is named as a principal would have to exist first.
    """
    if not accounts:
        return []
    ids = sorted(set(accounts.values()))
    roles = [f"arn:aws:iam::{each}:role/{ENDPOINT_ROLE}-*" for each in ids]
    only = {"ArnLike": {"aws:PrincipalArn": roles}, **(conditions or {})}
    roots = [f"arn:aws:iam::{each}:root" for each in ids]
    return [{"Sid": sid, **allow(actions, resources, only), "Principal": {"AWS": roots}}]


def refuse_plain_http(bucket: str) -> Statement:
    """Refuse every request to a bucket that is not made over TLS."""
    everything = [bucket_arn(bucket), objects_arn(bucket, "")]
    return refuse("NoPlainHttp", ["s3:*"], everything, {"Bool": {"aws:SecureTransport": "false"}})


def bucket_arn(bucket: str) -> str:
    """ARN of a bucket."""
    return f"arn:aws:s3:::{bucket}"


def objects_arn(bucket: str, prefix: str) -> str:
    """ARN pattern of the objects below `prefix`."""
    return f"{bucket_arn(bucket)}/{prefix}*"


def read(bucket: str) -> list[Statement]:
    """List a bucket and read its objects."""
    return [allow(["s3:ListBucket"], [bucket_arn(bucket)]), allow(["s3:GetObject"], [objects_arn(bucket, "")])]


def read_below(bucket: str, prefixes: Iterable[str]) -> list[Statement]:
    """List a bucket, which names its objects and no more, and read the objects below prefixes."""
    objects = [objects_arn(bucket, prefix) for prefix in prefixes]
    return [allow(["s3:ListBucket"], [bucket_arn(bucket)]), allow(["s3:GetObject"], objects)]


def read_sources(sources: Iterable[str]) -> list[Statement]:
    """Read only what is named: `park/2026` is that object and what is below it, not `park/2026-old`.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html#condition-key-bucket-ops-2
    """
    listings: list[Statement] = []
    objects: list[str] = []
    for bucket, _, prefix in (source.partition("/") for source in sources):
        named = [prefix, f"{prefix}/*"] if prefix else ["*"]
        condition = {"StringLike": {"s3:prefix": named}} if prefix else None
        listings.append(allow(["s3:ListBucket"], [bucket_arn(bucket)], condition))
        objects += [f"{bucket_arn(bucket)}/{key}" for key in named]
    return [*listings, allow(["s3:GetObject"], objects)] if objects else []


def create(bucket: str, prefixes: tuple[str, ...]) -> list[Statement]:
    """Create objects below prefixes, in one piece or in parts."""
    objects = [objects_arn(bucket, prefix) for prefix in prefixes]
    return [allow(["s3:PutObject", "s3:AbortMultipartUpload"], objects)] if objects else []


def create_like(bucket: str, patterns: tuple[str, ...]) -> list[Statement]:
    """Create objects whose keys are like one of these patterns, in one piece or in parts."""
    objects = [f"{bucket_arn(bucket)}/{pattern}" for pattern in patterns]
    return [allow(["s3:PutObject", "s3:AbortMultipartUpload"], objects)] if objects else []


def add(bucket: str, prefixes: tuple[str, ...]) -> Statement:
    """Allow a role to create objects in single requests, and to overwrite none."""
    objects = [objects_arn(bucket, prefix) for prefix in prefixes]
    return allow(["s3:PutObject"], objects, {"Null": {"s3:if-none-match": "false"}})


def delete(bucket: str, prefixes: tuple[str, ...]) -> list[Statement]:
    """Delete objects below prefixes; in a versioned bucket this leaves delete markers."""
    objects = [objects_arn(bucket, prefix) for prefix in prefixes]
    return [allow(["s3:DeleteObject"], objects)] if objects else []


def inspect(bucket: str) -> Statement:
    """Allow a role to read a bucket's configuration. Some actions have other names than their API calls."""
    return allow(
        [
            "s3:GetBucketLogging",
            "s3:GetBucketObjectLockConfiguration",
            "s3:GetBucketPolicy",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketVersioning",
            "s3:GetEncryptionConfiguration",
        ],
        [bucket_arn(bucket)],
    )


def use_key(key: str, *, writes: bool) -> Statement:
    """Allow S3 to encrypt and decrypt on the role's behalf; a multipart upload needs both."""
    return allow(["kms:Decrypt", "kms:GenerateDataKey"] if writes else ["kms:Decrypt"], [key])


def verify(key: str) -> Statement:
    """Check signatures, by KMS or with the public key."""
    return allow(["kms:GetPublicKey", "kms:Verify"], [key])


def read_metrics() -> Statement:
    """Allow a role to read CloudWatch's metrics: the action cannot be limited to some of them.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
    """
    return allow(["cloudwatch:GetMetricData"], ["*"])


def write_logs(log_group: str) -> Statement:
    """Allow an instance to write its log, from which metrics are made. Both actions are on streams of the group."""
    return allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{log_group}:*"])
