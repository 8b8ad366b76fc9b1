"""What the buckets' own policies allow and deny."""

from collections.abc import Mapping
from types import MappingProxyType

from infra.policies.statements import (
    Accounts,
    Document,
    Statement,
    allow,
    bucket_arn,
    document,
    let_endpoints_in,
    let_in,
    objects_arn,
    refuse,
    refuse_plain_http,
)
from registry.channel_policy import ChannelPolicy
from registry.layout.data_lake import EVENT_PICTURES, EVENTS
from registry.layout.model_store import channel_prefix, experiments_prefix
from registry.layout.workspace import STACKS, code_prefix, stack_outputs_key
from registry.telemetry import TELEMETRY

ACCESS_LOG = "model-store/"
"""Prefix of the model store's access log in its bucket."""


def lake_bucket(bucket: str, accounts: Accounts) -> Document:
    """Refuse plain HTTP; let endpoints in other accounts add events and recorded predictions, and overwrite none."""
    added = [objects_arn(bucket, prefix) for prefix in (EVENTS, EVENT_PICTURES, TELEMETRY)]
    once = {"Null": {"s3:if-none-match": "false"}}
    return document(
        [
            refuse_plain_http(bucket),
            *let_endpoints_in("EndpointsAdd", accounts, ["s3:PutObject"], added, once),
        ]
    )


def workspace_bucket(bucket: str, accounts: Accounts) -> Document:
    """Refuse plain HTTP; let each stack in another account keep its code bundles and its outputs here.

    Its own account's policies say who deploys that stack. An object belongs to the bucket's account, also if another
    account made it:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    The outputs go with their stack, with all their versions, and these have to be listed first.
    """
    keep = ["s3:GetObject", "s3:GetObjectTagging", "s3:PutObject", "s3:PutObjectTagging"]
    return document(
        [
            refuse_plain_http(bucket),
            *(
                let_in(
                    f"Code{number}",
                    accounts[stack],
                    keep,
                    [objects_arn(bucket, code_prefix(stack)), f"{bucket_arn(bucket)}/{stack_outputs_key(stack)}"],
                )
                for number, stack in enumerate(sorted(accounts), start=1)
            ),
            *(
                let_in(
                    f"Outputs{number}",
                    accounts[stack],
                    ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                    [f"{bucket_arn(bucket)}/{stack_outputs_key(stack)}"],
                )
                for number, stack in enumerate(sorted(accounts), start=1)
            ),
            *_list_outputs(bucket, accounts),
        ]
    )


def _list_outputs(bucket: str, accounts: Accounts) -> list[Statement]:
    """Allow other accounts to list versions of stacks' outputs, which names stacks and no more."""
    if not accounts:
        return []
    listed = allow(["s3:ListBucketVersions"], [bucket_arn(bucket)], {"StringLike": {"s3:prefix": [f"{STACKS}*"]}})
    roots = [f"arn:aws:iam::{each}:root" for each in sorted(set(accounts.values()))]
    return [{"Sid": "OutputsVersions", **listed, "Principal": {"AWS": roots}}]


def access_log_bucket(bucket: str, source: str, account: str) -> Document:
    """Allow S3 to deliver the access log of the bucket `source`, and refuse plain HTTP.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    delivery: Statement = {
        "Sid": "DeliverAccessLog",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": ["s3:PutObject"],
        "Resource": [objects_arn(bucket, ACCESS_LOG)],
        "Condition": {"ArnLike": {"aws:SourceArn": bucket_arn(source)}, "StringEquals": {"aws:SourceAccount": account}},
    }
    return document([refuse_plain_http(bucket), delivery])


def write_once_bucket(
    bucket: str,
    encryption_key: str,
    collector: str,
    promoter_id: str,
    model: str,
    channels: Mapping[str, ChannelPolicy],
    accounts: Accounts = MappingProxyType({}),
) -> Document:
    """Deny whatever would change the history of the model store, even to an administrator: see `registry`.

    A write must say `If-None-Match: *`; the calls that prepare a multipart upload cannot, and are exempt (the call
    that completes it is not). https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html

    A channel with movers takes entries and experiments only from sessions of the promoter's role (`promoter_id` is
    its unique id) that bear a mover's name. Any other role may be less careful about the names of its sessions.

    Endpoints in other `accounts` may read, as far as their own policies allow it.
    """
    objects = objects_arn(bucket, "")
    return document(
        [
            refuse_plain_http(bucket),
            refuse(
                "CreateOnly",
                ["s3:PutObject"],
                [objects],
                {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
            ),
            refuse(
                "OnlyTheCollectorDeletes",
                ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                [objects],
                {"ArnNotEquals": {"aws:PrincipalArn": collector}},
            ),
            *_refuse_foreign_keys(objects, encryption_key),
            *_only_movers(bucket, promoter_id, model, channels),
            *let_endpoints_in(
                "EndpointsRead", accounts, ["s3:GetObject", "s3:ListBucket"], [bucket_arn(bucket), objects]
            ),
        ]
    )


def _refuse_foreign_keys(objects: str, encryption_key: str) -> list[Statement]:
    """Every object is encrypted with the bucket's own key."""
    return [
        # A header that is absent means the bucket's default, our key. A negated operator alone would match
        # absence too, so each refusal asks for presence first.
        refuse(
            "NoForeignKey",
            ["s3:PutObject"],
            [objects],
            {
                "Null": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "false"},
                "ArnNotEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": encryption_key},
            },
        ),
        refuse(
            "NoOtherEncryption",
            ["s3:PutObject"],
            [objects],
            {
                "Null": {"s3:x-amz-server-side-encryption": "false"},
                "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
            },
        ),
    ]


def _only_movers(bucket: str, promoter_id: str, model: str, channels: Mapping[str, ChannelPolicy]) -> list[Statement]:
    """A channel with movers takes entries from their sessions of the promoter's role alone."""
    return [
        refuse(
            f"OnlyMovers{number}",
            ["s3:PutObject"],
            [objects_arn(bucket, log(model, name)) for log in (channel_prefix, experiments_prefix)],
            {"StringNotEquals": {"aws:userid": [f"{promoter_id}:{mover}" for mover in channels[name].movers]}},
        )
        for number, name in enumerate(sorted(channels), start=1)
        if channels[name].movers
    ]
