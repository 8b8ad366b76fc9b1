"""The instances that run jobs, as EC2 knows them: found by their tags."""

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
"""States of an instance that boots or runs."""


def by_job(target: Target) -> dict[str, InstanceTypeDef]:
    """The newest instance of every job, whatever its state; of several that train together the first."""
    return _newest(_found(target, JOB_TAG, "*"), JOB_TAG)


def of_job(target: Target, job: str) -> list[InstanceTypeDef]:
    """All instances of one job that EC2 still knows, whatever their state; of several for a name with an asterisk."""
    return _found(target, JOB_TAG, job)


def newest(target: Target, job: str) -> InstanceTypeDef | None:
    """The newest instance of one job; of several that train together the first."""
    return _newest(of_job(target, job), JOB_TAG).get(job)


def end(target: Target, instance_ids: Sequence[str]) -> None:
    """End instances, whatever they do."""
    if instance_ids:
        _ec2(target).terminate_instances(InstanceIds=list(instance_ids))


def is_alive(instance: InstanceTypeDef) -> bool:
    """Whether it boots or runs."""
    return state(instance) in ALIVE


def state(instance: InstanceTypeDef | None) -> str:
    """EC2's word for what it does; empty without an instance."""
    return "" if instance is None else instance.get("State", {}).get("Name", "")


def _found(target: Target, key: str, value: str) -> list[InstanceTypeDef]:
    """Every instance with this tag; `value` may end with an asterisk."""
    pages = (
        _ec2(target).get_paginator("describe_instances").paginate(Filters=[{"Name": f"tag:{key}", "Values": [value]}])
    )
    return [machine for page in pages for entry in page["Reservations"] for machine in entry.get("Instances", [])]


def _newest(found: Sequence[InstanceTypeDef], key: str) -> dict[str, InstanceTypeDef]:
    """The newest instance for each value of a tag, of several the first."""
    never = datetime.min.replace(tzinfo=UTC)
    ordered = sorted(found, key=lambda machine: (machine.get("LaunchTime", never), -machine.get("AmiLaunchIndex", 0)))
    return {
        tag.get("Value", ""): machine for machine in ordered for tag in machine.get("Tags", []) if tag.get("Key") == key
    }


def _ec2(target: Target) -> EC2Client:
    return target.client("ec2", role=Role.PUBLISHER)
