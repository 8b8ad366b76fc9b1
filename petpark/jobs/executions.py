"""Jobs as executions of the state machine `job`: start, find, stop. `docs/design/pipeline.md`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from petpark.errors import JobFinished, JobOfStudy, StackOutdated
from registry.layout.roles import Role
from registry.layout.workspace import study_key

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from petpark.targets.stacks import PipelineOutputs
    from petpark.targets.target import Target

MOST_RUNS: Final = 99
_LISTED: Final = 1000
"""Number of recent executions searched for a job's newest one."""
RUNNING: Final = "RUNNING"


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One execution that runs a job or a study."""

    job: str
    """Id of the job or study."""
    arn: str

    @property
    def name(self) -> str:
        """The id, with a suffix `-r2`, `-r3` … for repeated runs."""
        return self.arn.rpartition(":")[2]


def machines(target: Target) -> PipelineOutputs:
    """Returns the ARNs and limits of the stack's state machines. Raises `StackOutdated` if it has none."""
    found = target.outputs.pipeline
    if found is None:
        raise StackOutdated(
            f"Stack {target.outputs.stack} has no pipeline, or was deployed by another version of petpark.",
            next_step=f"pulumi up --stack {target.outputs.stack}",
        )
    return found


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """The input of an execution of the state machine `job`."""

    job: str
    purpose: str
    machine: str
    max_seconds: int
    requested_by: str
    instances: int = 1
    on_demand: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> str:
        """Returns the input as JSON, identical for equal requests: StartExecution is idempotent for the same input."""
        facts = {
            "job": self.job,
            "purpose": self.purpose,
            "machine": self.machine,
            "instances": self.instances,
            "on_demand": self.on_demand,
            "max_seconds": self.max_seconds,
            "requested_by": self.requested_by,
            "pipeline": None,
            "inputs": dict(self.inputs),
        }
        return json.dumps(facts, sort_keys=True)


def start_training(target: Target, job: str, *, on_demand: bool = False) -> Execution:
    """Start or resume the training submitted as `job`. Returns its execution, the running one if there is one.

    A failed job is retried, and its result replaced. Raises `JobFinished` if the job has succeeded or was cancelled,
    `JobOfStudy` if it is a trial, `StackOutdated`, and training's `JobMissing`.
    """
    from training.job import find_result, load_spec

    workspace = target.store(target.outputs.workspace, role=Role.PUBLISHER)
    spec = load_spec(workspace, job)
    if spec.study is not None:
        stored = workspace.stat(study_key(spec.study)) is not None
        raise JobOfStudy(
            f"Job {job} is a trial of study {spec.study}, and runs only within the study's budget.",
            next_step=f"petpark search resume {spec.study}" if stored else "petpark pipeline retry",
        )
    result = find_result(workspace, job)
    if result is not None and result.status != "failed":
        raise JobFinished(f"Job {job} already has a result.", next_step=f"petpark jobs show {job}", job=job)
    return start(
        target,
        JobRequest(
            job=job,
            purpose="train",
            machine="training",
            instances=spec.instances,
            on_demand=on_demand,
            max_seconds=spec.max_seconds,
            requested_by=spec.requested_by,
        ),
    )


def start(target: Target, request: JobRequest) -> Execution:
    """Returns the running execution of a job, or starts one. Raises `StackOutdated`."""
    return start_named(target, machines(target).job, request.job, request.to_json())


def start_named(target: Target, alias: str, name: str, execution_input: str) -> Execution:
    """Returns the running execution with that name, or starts one; later ones have the suffix `-r2` and so on."""
    client = states_client(target)
    for run in _names(name):
        try:
            made = client.start_execution(stateMachineArn=alias, name=run, input=execution_input)
            return Execution(job=name, arn=made["executionArn"])
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ExecutionAlreadyExists":
                raise
        found = Execution(job=name, arn=arn_of(alias, run))
        if client.describe_execution(executionArn=found.arn)["status"] == RUNNING:
            return found
    raise JobFinished(f"{name} has been run {MOST_RUNS} times, the maximum.", next_step="Start a new one.")


def newest(target: Target, alias: str, name: str) -> Mapping[str, Any] | None:
    """Returns the description of the last execution that `start_named` started; None if there is none.

    Step Functions deletes executions 90 days after they end.
    """
    found: Mapping[str, Any] | None = None
    for run in _names(name):
        described = describe(target, arn_of(alias, run))
        if described is None:
            break
        found = described
    return found


def describe(target: Target, arn: str) -> Mapping[str, Any] | None:
    """Returns the response of DescribeExecution; None if the execution does not exist."""
    try:
        return states_client(target).describe_execution(executionArn=arn)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ExecutionDoesNotExist":
            raise
        return None


def _names(name: str) -> list[str]:
    return [name, *(f"{name}-r{run}" for run in range(2, MOST_RUNS + 1))]


def running(target: Target, job: str) -> list[Execution]:
    """Returns the running executions of a job: its own, and those that pipelines started."""
    return _running(target, machines(target).job, job)


def _running(target: Target, alias: str, prefix: str) -> list[Execution]:
    found = [Execution(job=prefix, arn=arn) for arn in _all_running(target, alias)]
    return [each for each in found if each.name == prefix or each.name.startswith(f"{prefix}-")]


def running_names(target: Target) -> frozenset[str]:
    """Returns the names of running job executions: each is a job's id, with or without a suffix."""
    return frozenset(arn.rpartition(":")[2] for arn in _all_running(target, machines(target).job))


def _all_running(target: Target, alias: str) -> list[str]:
    pages = (
        states_client(target)
        .get_paginator("list_executions")
        .paginate(stateMachineArn=bare(alias), statusFilter=RUNNING)
    )
    return [one["executionArn"] for page in pages for one in page["executions"]]


def last(target: Target, job: str) -> Mapping[str, Any] | None:
    """Returns the description of a job's newest execution, its own or a pipeline's; None if there is none.

    ListExecutions returns the newest first. https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html
    """
    pages = (
        states_client(target)
        .get_paginator("list_executions")
        .paginate(stateMachineArn=bare(machines(target).job), PaginationConfig={"MaxItems": _LISTED})
    )
    for one in (each for page in pages for each in page["executions"]):
        name = one["executionArn"].rpartition(":")[2]
        if name == job or name.startswith(f"{job}-"):
            return describe(target, one["executionArn"])
    return None


def stop(target: Target, job: str, *, why: str) -> list[Execution]:
    """Stop the executions of a job; its instances keep running. Returns the stopped executions."""
    return stop_named(target, machines(target).job, job, why=why)


def stop_named(target: Target, alias: str, prefix: str, *, why: str) -> list[Execution]:
    """Stop a state machine's executions named `prefix` or `prefix-…`. Returns the stopped executions."""
    stopped = _running(target, alias, prefix)
    for each in stopped:
        states_client(target).stop_execution(executionArn=each.arn, error="Cancelled", cause=why[:1000])
    return stopped


def states_client(target: Target) -> SFNClient:
    """Returns a Step Functions client in the publisher role."""
    return target.client("stepfunctions", role=Role.PUBLISHER)


def bare(alias: str) -> str:
    """Returns the ARN of the state machine that an alias or version ARN belongs to."""
    return alias.rpartition(":")[0]


def arn_of(alias: str, name: str) -> str:
    """Returns the ARN of the execution `name` of an alias's state machine."""
    return f"{bare(alias).replace(':stateMachine:', ':execution:')}:{name}"
