"""What the instances of petpark may do."""

from infra.policies.resource_names import ResourceNames
from infra.policies.statements import (
    Document,
    add,
    allow,
    create,
    create_like,
    delete,
    document,
    objects_arn,
    read,
    read_below,
    use_key,
    verify,
    write_logs,
)
from registry.layout.data_lake import EVENT_PICTURES, EVENTS
from registry.layout.jobs import JOBS, checkpoints_prefix
from registry.layout.model_store import api_keys_prefix
from registry.layout.roles import Role, creates, reads
from registry.layout.workspace import CODE
from registry.telemetry import stack_prefix

_CHECKPOINTS = checkpoints_prefix("*")
"""The checkpoints of every job, because a policy cannot know which job an instance will run."""


def training(places: ResourceNames, log_group: str) -> Document:
    """What a training instance may do: read photos and code, keep its job's records, publish.

    It may delete old checkpoints, which only the job itself needs, but no records.
    """
    published = creates(Role.PUBLISHER, places.model)
    return document(
        [
            *read(places.data_lake),
            *read(places.workspace),
            *create(places.workspace, (JOBS,)),
            *delete(places.workspace, (_CHECKPOINTS,)),
            *read_below(places.model_store, reads(Role.PUBLISHER, places.model)),
            *create_like(places.model_store, published),
            use_key(places.encryption_key, writes=True),
            write_logs(log_group),
        ]
    )


def session_manager() -> Document:
    """What the agent of Session Manager needs to offer a shell: no open port, no key, every session on record.

    AWS's own AmazonSSMManagedInstanceCore also reads every parameter of the account that is plain or encrypted with
    the default key. The actions for logs in S3 and for a key of KMS's own are left out, as no session uses them here.
    https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
    """
    return document(
        [
            allow(
                [
                    "ssm:UpdateInstanceInformation",
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                ],
                ["*"],
            )
        ]
    )


def endpoint(places: ResourceNames, log_group: str, stack: str) -> Document:
    """What an endpoint of `stack` may do: read code, models and its own callers' keys, verify certificates; add events
    and recorded predictions of its own stack.

    It reads none of these: what a camera saw is nothing that a machine in the park needs to get back.
    """
    return document(
        [
            allow(["s3:GetObject"], [objects_arn(places.workspace, CODE)]),
            *read_below(places.model_store, (f"{places.model}/", api_keys_prefix(stack))),
            use_key(places.encryption_key, writes=False),
            verify(places.signing_key),
            add(places.data_lake, (EVENTS, EVENT_PICTURES, stack_prefix(stack))),
            write_logs(log_group),
        ]
    )
