"""What starts state machines automatically: schedules, and new manifests of datasets in the data lake."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra import policies
from infra.component import Component, document
from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline import report_jobs, trigger_machine
from infra.pipeline.alarms import action_machine
from infra.pipeline.deployed_machine import Machine


@dataclass(frozen=True, kw_only=True)
class Scheduled:
    """The state machines that schedules start."""

    job: Machine
    start: Machine
    janitor: Machine
    act: Machine


def start_on_schedules(component: Component, settings: PipelineSettings, machines: Scheduled) -> None:
    """Start `machines` by EventBridge Scheduler, with the schedules of the settings."""
    role = _trigger_role(
        component, "scheduler", [machines.start.arn, machines.janitor.arn, machines.act.arn, machines.job.arn]
    )
    _schedule(component, "look", f"rate({settings.janitor_minutes} minutes)", machines.janitor, {}, role)
    if settings.schedule is not None:
        _schedule(component, "schedule", settings.schedule, machines.start, {"newest": True}, role)
    if settings.drift_schedule is not None:
        for stack in settings.drift_stacks:
            part, given = f"drift-{stack}", action_machine.drift_input(stack)
            _schedule(component, part, settings.drift_schedule, machines.act, given, role)
    # Reports cover the stack that serves, in the park's time zone.
    stack, zone = settings.prod_stack or pulumi.get_stack(), settings.report_zone
    if settings.report_schedule is not None:
        given = action_machine.monthly_report_input(stack)
        _schedule(component, "monthly-report", settings.report_schedule, machines.act, given, role, zone=zone)
    if settings.monitoring_schedule is not None:
        page = report_jobs.monitoring_input(settings, stack=stack)
        _schedule(component, "monitoring-report", settings.monitoring_schedule, machines.job, page, role, zone=zone)


def _schedule(
    component: Component,
    part: str,
    expression: str,
    machine: Machine,
    given: Mapping[str, Any],
    role: aws.iam.Role,
    *,
    zone: str = "UTC",
) -> None:
    aws.scheduler.Schedule(
        **component.child(part),
        schedule_expression=_rate(expression),
        schedule_expression_timezone=zone,
        flexible_time_window={"mode": "OFF"},
        target={"arn": machine.alias, "role_arn": role.arn, "input": json.dumps(given)},
    )


def start_on_manifests(component: Component, lake: pulumi.Input[str], start: Machine) -> None:
    """S3 tells EventBridge of every new object of the lake; the rule passes on those that may be manifests."""
    role = _trigger_role(component, "events", [start.arn])
    aws.s3.BucketNotification(**component.child("notification"), bucket=lake, eventbridge=True)
    rule = aws.cloudwatch.EventRule(
        **component.child("manifests"),
        description="A new dataset manifest starts the pipeline",
        event_pattern=document(trigger_machine.manifest_pattern, bucket=lake),
        tags=component.tags,
    )
    aws.cloudwatch.EventTarget(
        **component.child("manifests-target"), rule=rule.name, arn=start.alias, role_arn=role.arn
    )


def _trigger_role(component: Component, service: str, machines: Sequence[pulumi.Output[str]]) -> aws.iam.Role:
    role = aws.iam.Role(
        **component.child(f"{service}-role"),
        assume_role_policy=policies.as_json(policies.trust_service(f"{service}.amazonaws.com")),
        tags=component.tags,
    )
    aws.iam.RolePolicy(
        **component.child(f"{service}-grants"),
        role=role.name,
        policy=document(policies.start_machines, machines=machines),
    )
    return role


def _rate(expression: str) -> str:
    """Scheduler takes `rate(1 minute)` and `rate(2 minutes)`, and no other number with either."""
    return "rate(1 minute)" if expression == "rate(1 minutes)" else expression
