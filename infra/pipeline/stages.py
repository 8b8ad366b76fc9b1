"""A stage of the pipeline: one task that runs a job to its end, by the state machine `job`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline.asl import State, catch, jsonata, literal
from infra.pipeline.job_machine import END_SECONDS

SYNC: Final = "arn:aws:states:::states:startExecution.sync:2"
"""https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html"""

FAILED: Final = "StageFailed"
"""The state that a stage leads to when its job ends with an error."""


@dataclass(frozen=True, kw_only=True)
class LifecycleFacts:
    """What the deployment knows."""

    job: str
    """ARN of the alias of the state machine `job`."""
    workspace: str
    lake: str
    topic: str
    """ARN of the SNS topic that people hear."""
    code: str
    """Hash of the code bundle: other code makes other jobs."""
    gates: Mapping[str, Any]
    """As `registry.gates.StackGates.to_dict` writes them."""
    stack: str
    """Whose endpoint is tested."""
    channel: str
    """That this endpoint follows."""
    settings: PipelineSettings


def job_task(
    facts: LifecycleFacts,
    name: str,
    purpose: str,
    inputs: Mapping[str, str],
    *,
    seconds: int,
    machine: str = "small",
    share: str = "1",
    salt: str = '""',
    to: str,
    **more: Any,
) -> State:
    """Run a job and wait for its end. `inputs` are expressions.

    The job may cost what is left of the execution's cap, divided by `share`. The job's id is the hash of what it does,
    so a stage whose result is stored already ends at once. Its execution has a name of this pipeline's own: the same
    job may be wanted by another one, too. `salt` makes a job this pipeline's own, which another one does again: what an
    endpoint answers now is no fact that can be stored.
    """
    given = ", ".join(f"{literal(key)}: {value}" for key, value in inputs.items())
    settings = facts.settings
    arguments = f"""(
        $what := {{{given}}};
        $id := "{purpose}-" & $substring($hash($string($what) & "{facts.code}" & {salt}, "SHA-256"), 0, 16);
        {{
            "StateMachineArn": "{facts.job}",
            "Name": $id & "-" & $substring($hash($states.context.Execution.Name, "SHA-256"), 0, 12),
            "Input": {{
                "job": $id, "purpose": "{purpose}", "machine": "{machine}", "max_seconds": {seconds},
                "usd": $min([{settings.job_usd}, ({settings.execution_usd} - $spent) / {share}]),
                "requested_by": $by, "pipeline": $states.context.Execution.Name, "inputs": $what,
                "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": $states.context.Execution.Id
            }}
        }}
    )"""
    busy = {
        "ErrorEquals": ["StepFunctions.ExecutionLimitExceededException"],
        "IntervalSeconds": 30,
        "MaxAttempts": 5,
        "BackoffRate": 2,
    }
    attempt = settings.boot_seconds + seconds + 2 * END_SECONDS
    waits = sum(min(settings.capacity_seconds * 2**n, 1800) for n in range(settings.capacity_tries))
    return {
        "Type": "Task",
        "Resource": SYNC,
        "Arguments": jsonata(arguments),
        "TimeoutSeconds": settings.attempts * (attempt + waits) + 3600,
        "Retry": [busy],
        "Assign": {
            "spent": jsonata("$spent + $states.result.Output.usd"),
            "outcome": jsonata(_given("outcome", '""')),
            "message": jsonata(_given("message", '""')),
            "report": jsonata(_given("report", "$states.result.Output.result")),
        },
        "Catch": [catch(["States.ALL"], FAILED, failure=_failure(name))],
        "Next": to,
    } | more


def _given(field: str, otherwise: str) -> str:
    path = f"$states.result.Output.{field}"
    return f"$type({path}) = 'string' ? {path} : {otherwise}"


def _failure(stage: str) -> str:
    """The job's own error: the cause of a failed child is its description, as JSON."""
    return f"""(
        $told := $states.errorOutput.Cause;
        $child := $substring($told, 0, 1) = "{{" ? $parse($told) : {{}};
        {{
            "stage": "{stage}",
            "error": $exists($child.Error) ? $child.Error :
                $child.Status = "ABORTED" ? "Cancelled" : $states.errorOutput.Error,
            "cause": $exists($child.Cause) ? $child.Cause : $told
        }}
    )"""
