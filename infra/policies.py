"""Who may do what: IAM, bucket and key policies. Pure: names in, policy documents out.

Prefixes come from `registry.layout`, so that a key that the code writes and a key that its role may write are one.
Reading is granted by bucket: to follow a channel is to ask for objects that do not exist yet, and S3 answers such a
question with 404 only to those who may list (403 otherwise).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from registry.channel_policy import ChannelPolicy
from registry.layout import (
    CODE,
    DATASETS,
    EVENT_PICTURES,
    EVENTS,
    JOBS,
    METRIC_NAMESPACE,
    PHOTOS,
    STUDIES,
    Role,
    api_keys_path,
    channel_prefix,
    checkpoints_prefix,
    creates,
    deletes,
    experiments_prefix,
)

type Document = dict[str, Any]
type Statement = dict[str, Any]

SESSION_MANAGER = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
"""AWS's managed policy for a shell through Session Manager: no open port, no key, every session on record."""

ACCESS_LOG = "model-store/"
"""Where S3 puts the model store's access log in the bucket of its own."""

_CHECKPOINTS = checkpoints_prefix("*")
"""The checkpoints of every job: a policy cannot know which job an instance will run."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """What policies speak of: a model's name, bucket names, the ARNs of the two keys, and where parameters are."""

    model: str
    model_store: str
    data_lake: str
    workspace: str
    encryption_key: str
    signing_key: str
    parameters: str
    """ARN that the account's parameters begin with: `arn:aws:ssm:<region>:<account>:parameter`."""


# --- who may take a role -------------------------------------------------------------------------------------------


def trust_service(service: str) -> Document:
    """Let an AWS service take the role."""
    return _document([{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}])


def trust_people(account: str) -> Document:
    """Let the account's people take the role under their own names, as far as their own policies allow it.

    A user's session is called as the user is. Who is in a role already, as people signed in through an identity
    provider are, keeps the name of that session; so it is worth what that role's own trust makes of it. `aws:userid`
    of a session is `<role id>:<session name>`; `aws:username` exists for users alone, and a condition on what does not
    exist never holds.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#ck_rolesessionname
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
    """
    take = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
    }
    by_user = {"StringEquals": {"sts:RoleSessionName": "${aws:username}"}}
    by_session = {"Null": {"aws:username": "true"}, "StringLike": {"aws:userid": "*:${sts:RoleSessionName}"}}
    return _document(
        [
            {"Sid": "UsersByTheirName", **take, "Condition": by_user},
            {"Sid": "SessionsByTheirOwnName", **take, "Condition": by_session},
        ]
    )


# --- people and machines -------------------------------------------------------------------------------------------


def operator(role: Role, places: Places, photo_sources: Iterable[str] = ()) -> Document:
    """What a person or pipeline acting as `role` may do.

    `photo_sources` are places outside of petpark that photos are ingested from: `bucket` or `bucket/prefix`.
    """
    statements = [
        *_read(places.model_store),
        # An audit compares the registry with every revision that the bucket holds, not only the latest.
        _allow(["s3:ListBucketVersions"], [_bucket(places.model_store)]),
        *_create(places.model_store, creates(role, places.model)),
        *_delete(places.model_store, deletes(role, places.model)),
        _use_key(places.encryption_key, writes=bool(creates(role, places.model))),
    ]
    match role:
        case Role.PUBLISHER:
            statements += [
                *_read(places.data_lake),
                *_create(places.data_lake, (PHOTOS, DATASETS)),
                *_read(places.workspace),
                *_create(places.workspace, (JOBS, STUDIES)),
                *_read_sources(photo_sources),
            ]
        case Role.CERTIFIER:
            statements += [_allow(["kms:Sign"], [places.signing_key]), _verify(places.signing_key)]
        case Role.PROMOTER:
            statements += [_verify(places.signing_key), *_keep_api_keys(places.parameters)]
        case Role.READER:
            statements += [
                _verify(places.signing_key),
                _inspect(places.model_store),
                _list_api_keys(places.parameters, "*"),
            ]
        case Role.COLLECTOR:
            pass
    return _document(statements)


def training(places: Places, log_group: str) -> Document:
    """What a training instance may do: read photos and code, keep its job's records, publish.

    It deletes old checkpoints, which nobody but the job itself needs, and no record of what happened.
    """
    published = creates(Role.PUBLISHER, places.model)
    return _document(
        [
            *_read(places.data_lake),
            *_read(places.workspace),
            *_create(places.workspace, (JOBS,)),
            *_delete(places.workspace, (_CHECKPOINTS,)),
            *_read(places.model_store),
            *_create(places.model_store, published),
            _use_key(places.encryption_key, writes=True),
            *_tell(log_group),
        ]
    )


def endpoint(places: Places, log_group: str, stack: str) -> Document:
    """What an endpoint of `stack` may do: read code, models and its own callers' keys, verify certificates; add events.

    It reads no event: what a camera saw is nothing that a machine in the park needs to get back.
    """
    return _document(
        [
            _allow(["s3:GetObject"], [_objects(places.workspace, CODE)]),
            *_read(places.model_store),
            _use_key(places.encryption_key, writes=False),
            _verify(places.signing_key),
            _add(places.data_lake, (EVENTS, EVENT_PICTURES)),
            _list_api_keys(places.parameters, stack),
            *_tell(log_group),
        ]
    )


# --- buckets -------------------------------------------------------------------------------------------------------


def private_bucket(bucket: str) -> Document:
    """Refuse plain HTTP."""
    return _document([_refuse_plain_http(bucket)])


def access_log_bucket(bucket: str, source: str, account: str) -> Document:
    """Take from S3 the records of access to the bucket `source`, and refuse plain HTTP.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    delivery: Statement = {
        "Sid": "DeliverAccessLog",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": ["s3:PutObject"],
        "Resource": [_objects(bucket, ACCESS_LOG)],
        "Condition": {"ArnLike": {"aws:SourceArn": _bucket(source)}, "StringEquals": {"aws:SourceAccount": account}},
    }
    return _document([_refuse_plain_http(bucket), delivery])


def write_once_bucket(
    bucket: str,
    encryption_key: str,
    collector: str,
    promoter_id: str,
    model: str,
    channels: Mapping[str, ChannelPolicy],
) -> Document:
    """Refuse what would change the past of the model store, even to an administrator: see `registry`.

    A write must say `If-None-Match: *`; the calls that prepare a multipart upload cannot, and are exempt (the call
    that completes it is not). https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html

    A channel with movers takes entries and experiments only from sessions of the promoter's role (`promoter_id` is
    its unique id) that bear a mover's name. Any other role may be less careful about the names of its sessions.
    """
    objects = _objects(bucket, "")
    return _document(
        [
            _refuse_plain_http(bucket),
            _refuse(
                "CreateOnly",
                ["s3:PutObject"],
                [objects],
                {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
            ),
            _refuse(
                "OnlyTheCollectorDeletes",
                ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                [objects],
                {"ArnNotEquals": {"aws:PrincipalArn": collector}},
            ),
            # A header that is absent means the bucket's default, our key. A negated operator alone would match
            # absence too, so each refusal asks for presence first.
            _refuse(
                "NoForeignKey",
                ["s3:PutObject"],
                [objects],
                {
                    "Null": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "false"},
                    "ArnNotEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": encryption_key},
                },
            ),
            _refuse(
                "NoOtherEncryption",
                ["s3:PutObject"],
                [objects],
                {
                    "Null": {"s3:x-amz-server-side-encryption": "false"},
                    "StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
                },
            ),
            *(
                _refuse(
                    f"OnlyMovers{number}",
                    ["s3:PutObject"],
                    [_objects(bucket, log(model, name)) for log in (channel_prefix, experiments_prefix)],
                    {"StringNotEquals": {"aws:userid": [f"{promoter_id}:{mover}" for mover in channels[name].movers]}},
                )
                for number, name in enumerate(sorted(channels), start=1)
                if channels[name].movers
            ),
        ]
    )


# --- keys ----------------------------------------------------------------------------------------------------------


def signing_key(account: str, certifier: str) -> Document:
    """Leave the key to the account's policies, but signing to the certifier alone, even against an administrator."""
    everyone = {"AWS": f"arn:aws:iam::{account}:root"}
    return _document(
        [
            {"Sid": "Account", "Effect": "Allow", "Principal": everyone, "Action": "kms:*", "Resource": "*"},
            _refuse("OnlyTheCertifierSigns", ["kms:Sign"], ["*"], {"ArnNotEquals": {"aws:PrincipalArn": certifier}}),
        ]
    )


def as_json(policy: Document) -> str:
    """Write a policy as AWS stores it, without a space too many."""
    return json.dumps(policy, separators=(",", ":"))


# --- statements ----------------------------------------------------------------------------------------------------


def _document(statements: Iterable[Statement]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(actions: list[str], resources: list[str], conditions: Mapping[str, Any] | None = None) -> Statement:
    statement: Statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return {**statement, "Condition": conditions} if conditions else statement


def _refuse(sid: str, actions: list[str], resources: list[str], conditions: Mapping[str, Any]) -> Statement:
    statement = {"Effect": "Deny", "Principal": "*", "Action": actions, "Resource": resources}
    return {"Sid": sid, **statement, "Condition": dict(conditions)}


def _refuse_plain_http(bucket: str) -> Statement:
    everything = [_bucket(bucket), _objects(bucket, "")]
    return _refuse("NoPlainHttp", ["s3:*"], everything, {"Bool": {"aws:SecureTransport": "false"}})


def _bucket(bucket: str) -> str:
    return f"arn:aws:s3:::{bucket}"


def _objects(bucket: str, prefix: str) -> str:
    return f"{_bucket(bucket)}/{prefix}*"


def _read(bucket: str) -> list[Statement]:
    return [_allow(["s3:ListBucket"], [_bucket(bucket)]), _allow(["s3:GetObject"], [_objects(bucket, "")])]


def _read_sources(sources: Iterable[str]) -> list[Statement]:
    """Read what is named and nothing beside it: `park/2026` is that object and what lies below it, not `park/2026-old`.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html#condition-key-bucket-ops-2
    """
    listings: list[Statement] = []
    objects: list[str] = []
    for bucket, _, prefix in (source.partition("/") for source in sources):
        named = [prefix, f"{prefix}/*"] if prefix else ["*"]
        condition = {"StringLike": {"s3:prefix": named}} if prefix else None
        listings.append(_allow(["s3:ListBucket"], [_bucket(bucket)], condition))
        objects += [f"{_bucket(bucket)}/{key}" for key in named]
    return [*listings, _allow(["s3:GetObject"], objects)] if objects else []


def _create(bucket: str, prefixes: tuple[str, ...]) -> list[Statement]:
    objects = [_objects(bucket, prefix) for prefix in prefixes]
    return [_allow(["s3:PutObject", "s3:AbortMultipartUpload"], objects)] if objects else []


def _add(bucket: str, prefixes: tuple[str, ...]) -> Statement:
    """Let a role create objects in one piece each, and overwrite none."""
    objects = [_objects(bucket, prefix) for prefix in prefixes]
    return _allow(["s3:PutObject"], objects, {"Null": {"s3:if-none-match": "false"}})


def _delete(bucket: str, prefixes: tuple[str, ...]) -> list[Statement]:
    objects = [_objects(bucket, prefix) for prefix in prefixes]
    return [_allow(["s3:DeleteObject"], objects)] if objects else []


def _inspect(bucket: str) -> Statement:
    """Let whoever examines a bucket read how it is set up. Some of these go by other names than their API calls."""
    return _allow(
        [
            "s3:GetBucketLogging",
            "s3:GetBucketObjectLockConfiguration",
            "s3:GetBucketPolicy",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketVersioning",
            "s3:GetEncryptionConfiguration",
        ],
        [_bucket(bucket)],
    )


def _use_key(key: str, *, writes: bool) -> Statement:
    """Let S3 encrypt and decrypt on the role's behalf; a multipart upload needs both."""
    return _allow(["kms:Decrypt", "kms:GenerateDataKey"] if writes else ["kms:Decrypt"], [key])


def _verify(key: str) -> Statement:
    return _allow(["kms:GetPublicKey", "kms:Verify"], [key])


def _list_api_keys(parameters: str, stack: str) -> Statement:
    """Let somebody read what is below the path of a stack's API keys. A path that may be read is read as a whole.

    https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html
    """
    return _allow(["ssm:GetParametersByPath"], [f"{parameters}{api_keys_path(stack)}"])


def _keep_api_keys(parameters: str) -> list[Statement]:
    """Let somebody make, change and revoke the API keys of every stack's endpoint."""
    one = f"{parameters}{api_keys_path('*')}/*"
    return [
        _list_api_keys(parameters, "*"),
        _allow(["ssm:DeleteParameter", "ssm:GetParameter", "ssm:PutParameter"], [one]),
    ]


def _tell(log_group: str) -> list[Statement]:
    """Let a machine write its own log and petpark's metrics."""
    measure = {"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}}
    return [
        _allow(["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], [log_group, f"{log_group}:*"]),
        _allow(["cloudwatch:PutMetricData"], ["*"], measure),
    ]
