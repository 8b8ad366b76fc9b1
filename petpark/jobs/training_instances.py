"""EC2 instances that run jobs, found by their tags."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry.layout.jobs import JOB_TAG
from registry.layout.roles import Role

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

    from petpark.targets.target import Target

ALIVE = frozenset({"pending", "running"})
"""EC2 states of an instance that boots or runs."""


def by_job(target: Target) -> dict[str, InstanceTypeDef]:
    """Returns the newest instance of every job, in any state; the first one of a distributed training."""
    return _newest(_found(target, JOB_TAG, "*"), JOB_TAG)


def of_job(target: Target, job: str) -> list[InstanceTypeDef]:
    """Returns all instances of a job, in any state; `job` may end with `*` to match several jobs.

    EC2 lists terminated instances for about an hour.
    """
    return _found(target, JOB_TAG, job)


def newest(target: Target, job: str) -> InstanceTypeDef | None:
    """Returns the newest instance of a job; the first one of a distributed training; None if there is none."""
    return _newest(of_job(target, job), JOB_TAG).get(job)


def end(target: Target, instance_ids: Sequence[str]) -> None:
    """Terminate instances."""
    if instance_ids:
        _ec2(target).terminate_instances(InstanceIds=list(instance_ids))


def is_alive(instance: InstanceTypeDef) -> bool:
    """Whether an instance boots or runs."""
    return state(instance) in ALIVE


def state(instance: InstanceTypeDef | None) -> str:
    """Returns the EC2 state of an instance; empty without an instance."""
    return "" if instance is None else instance.get("State", {}).get("Name", "")


def _found(target: Target, key: str, value: str) -> list[InstanceTypeDef]:
    """Returns all instances with this tag; `value` may end with `*`."""
    pages = (
        _ec2(target).get_paginator("describe_instances").paginate(Filters=[{"Name": f"tag:{key}", "Values": [value]}])
    )
    return [machine for page in pages for entry in page["Reservations"] for machine in entry.get("Instances", [])]


def _newest(found: Sequence[InstanceTypeDef], key: str) -> dict[str, InstanceTypeDef]:
    """Returns the newest instance for each value of a tag; of equally new ones, the first launched."""
    never = datetime.min.replace(tzinfo=UTC)
    ordered = sorted(found, key=lambda machine: (machine.get("LaunchTime", never), -machine.get("AmiLaunchIndex", 0)))
    return {
        tag.get("Value", ""): machine for machine in ordered for tag in machine.get("Tags", []) if tag.get("Key") == key
    }


def _ec2(target: Target) -> EC2Client:
    return target.client("ec2", role=Role.PUBLISHER)
