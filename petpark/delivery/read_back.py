"""The state of an endpoint after `pulumi up`, from AWS and from the endpoint itself.

The provider ends `up` as soon as an instance refresh has begun (terraform-provider-aws #42355); when AWS cancels it or
rolls it back later, nothing reports it (#48997). Instances therefore must run the launch template's newest version,
which is the declared one, and be in service.
https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-instance-refresh.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from petpark.endpoints import endpoint_status
from petpark.endpoints.endpoint_status import Verdict
from petpark.errors import NotAsDeployed
from petpark.targets.target import Target

TIMEOUT_SECONDS: Final = 1_800.0
"""Seconds: two instances after each other, each of which installs its environment at its first boot."""
_EVERY: Final = 10.0
_LOG_LINES: Final = 100
_UNDER_WAY: Final = frozenset({"Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking"})
"""https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_InstanceRefresh.html"""


class State(StrEnum):
    """The state of one check."""

    FINE = "fine"
    WAITING = "waiting"
    """Not yet as declared, but may become so."""
    WRONG = "wrong"
    """Not as declared, and waiting does not help."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The result of one check."""

    what: str
    state: State
    found: str


def read_back(
    target: Target,
    *,
    timeout: float = TIMEOUT_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Sequence[Seen]:
    """Wait until the stack's endpoint is as declared. Returns the results of all checks.

    Raises `NotAsDeployed` if it is not, or not within `timeout` seconds, and what the calls to AWS raise.
    """
    deadline = monotonic() + timeout
    while True:
        seen = look(target)
        wrong = [each for each in seen if each.state is State.WRONG]
        waiting = [each for each in seen if each.state is State.WAITING]
        if not wrong and not waiting:
            return seen
        if wrong or monotonic() >= deadline:
            stack = target.outputs.stack
            problems = "; ".join(f"{each.what}: {each.found}" for each in wrong or waiting)
            raise NotAsDeployed(
                f"Stack {stack} was updated, but is not as declared: {problems}.",
                next_step=f"Run: petpark endpoints status --stack {stack}. Its log group has the instances' boot logs.",
            )
        sleep(min(_EVERY, max(0.0, deadline - monotonic())))


def look(target: Target) -> Sequence[Seen]:
    """Returns the results of all checks now."""
    endpoint = target.outputs.endpoint
    answers = endpoint_status.status(target)
    seen = [_served(each) for each in answers if each.verdict is not Verdict.UNSEEN]
    if endpoint.autoscaling_group is not None and endpoint.target_group is not None:
        seen += _group(target, endpoint.autoscaling_group)
        if answers[0].wanted is not None:  # without a version to serve, no instance is in service
            seen.append(_targets(target, endpoint.target_group))
    else:
        seen.append(_instance(target, endpoint.instance_id or "", needed=answers[0].wanted is not None))
    return seen


def _served(answer: endpoint_status.Answer) -> Seen:
    """What the endpoint reports, if it can be reached from here: `petpark:clients` may exclude this machine."""
    what = f"GET /v1/model ({answer.where})"
    match answer.verdict:
        case Verdict.REVOKED:
            return Seen(what=what, state=State.WRONG, found=answer.reason)
        case Verdict.DIFFERS:
            found = f"serves {answer.version}, channel {answer.channel} says {answer.wanted}. {answer.reason}".strip()
            return Seen(what=what, state=State.WAITING, found=found)
        case Verdict.SILENT:
            return Seen(what=what, state=State.FINE, found=f"cannot be reached from here: {answer.reason}")
        case _:
            served = answer.version or "nothing: the channel has no version"
            return Seen(what=what, state=State.FINE, found=f"serves {served}")


def _group(target: Target, name: str) -> Sequence[Seen]:
    scaling, ec2 = target.client("autoscaling"), target.client("ec2")
    found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not found:
        return [Seen(what="Auto Scaling group", state=State.WRONG, found=f"{name} does not exist")]
    template = found[0]["LaunchTemplate"]["LaunchTemplateId"]
    newest = ec2.describe_launch_templates(LaunchTemplateIds=[template])["LaunchTemplates"][0]["LatestVersionNumber"]
    refreshes = scaling.describe_instance_refreshes(AutoScalingGroupName=name, MaxRecords=1)["InstanceRefreshes"]
    return [judge_group(found[0], newest=str(newest), refresh=refreshes[0] if refreshes else None)]


def judge_group(group: Mapping[str, Any], *, newest: str, refresh: Mapping[str, Any] | None) -> Seen:
    """Returns whether a group's instances are as declared. Pure.

    `newest` is the newest version of its launch template, `refresh` its latest instance refresh.
    """
    instances: list[Mapping[str, Any]] = group.get("Instances", [])
    old = [each for each in instances if each.get("LaunchTemplate", {}).get("Version") != newest]
    status = (refresh or {}).get("Status", "")
    if status in _UNDER_WAY:
        return _seen_group(
            State.WAITING, f"instance refresh {status}, {refresh and refresh.get('PercentageComplete', 0)} %"
        )
    if group["LaunchTemplate"]["Version"] not in (newest, "$Latest"):
        found = f"launches version {group['LaunchTemplate']['Version']} of its template, declared is {newest}"
        return _seen_group(State.WRONG, f"{found}: AWS rolled it back" if status.startswith("Rollback") else found)
    if old and status not in ("", "Successful"):
        why = f" ({refresh['StatusReason']})" if refresh and refresh.get("StatusReason") else ""
        return _seen_group(
            State.WRONG, f"{_versions(old)} of its template, declared is {newest}: refresh {status}{why}"
        )
    if old:
        return _seen_group(State.WAITING, f"{_versions(old)} of its template, declared is {newest}")
    serving = sum(each.get("LifecycleState") == "InService" for each in instances)
    if serving < group["MinSize"]:
        return _seen_group(State.WAITING, f"{serving} of {group['MinSize']} instances in service")
    return _seen_group(State.FINE, f"{serving} instances of version {newest}")


def _seen_group(state: State, found: str) -> Seen:
    return Seen(what="Auto Scaling group", state=state, found=found)


def _versions(instances: Iterable[Mapping[str, Any]]) -> str:
    problems = sorted(
        f"{each['InstanceId']} runs version {each.get('LaunchTemplate', {}).get('Version')}" for each in instances
    )
    return ", ".join(problems)


def _targets(target: Target, target_group: str) -> Seen:
    balancing = target.client("elbv2")
    health = balancing.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
    states = [each["TargetHealth"]["State"] for each in health]
    wanted = [state for state in states if state != "draining"]
    fine = bool(wanted) and set(wanted) == {"healthy"}
    found = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states))) or "no targets"
    return Seen(what="load balancer's targets", state=State.FINE if fine else State.WAITING, found=found)


def _instance(target: Target, instance: str, *, needed: bool) -> Seen:
    """An instance without load balancer: its log shows whether it is in service."""
    what = f"instance {instance}"
    found = target.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    states = [machine["State"]["Name"] for reservation in found for machine in reservation["Instances"]]
    if states != ["running"]:
        waiting = states == ["pending"]
        return Seen(
            what=what, state=State.WAITING if waiting else State.WRONG, found=", ".join(states) or "no longer exists"
        )
    if not needed:
        return Seen(what=what, state=State.FINE, found="running; the channel names no version yet")
    serving = _in_service(target, instance)
    return Seen(
        what=what,
        state=State.FINE if serving else State.WAITING,
        found="in service" if serving else "running, and has not logged yet that it is in service",
    )


def _in_service(target: Target, instance: str) -> bool:
    """Whether it is in service by its newest state line; `serving.state_report` writes one per minute."""
    logs = target.client("logs")
    try:
        events = logs.get_log_events(
            logGroupName=target.outputs.endpoint.log_group,
            logStreamName=instance,
            limit=_LOG_LINES,
            startFromHead=False,
        )["events"]
    except logs.exceptions.ResourceNotFoundException:  # nothing was logged yet
        return False
    for event in reversed(events):
        try:
            line = json.loads(event["message"])
        except ValueError:
            continue
        if isinstance(line, dict) and line.get("message") == "state":
            return line.get("in_service") == 1
    return False
