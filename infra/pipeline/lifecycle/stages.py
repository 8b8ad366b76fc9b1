"""A stage of the pipeline: one task that runs a job to its end, by the state machine `job`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline.asl import ERROR_CAUSE, State, catch, jsonata, literal
from infra.pipeline.job.facts import END_SECONDS

SYNC: Final = "arn:aws:states:::states:startExecution.sync:2"
BUSY: Final = {
    "ErrorEquals": ["StepFunctions.ExecutionLimitExceededException"],
    "IntervalSeconds": 30,
    "MaxAttempts": 5,
    "BackoffRate": 2,
}
"""Retry a start while too many executions are open.
https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html"""

NAME: Final = "$states.context.Execution.Name"
"""The pipeline's execution, as an expression."""

VERSION: Final = '"version " & $string($version)'
"""The version in words, as an expression."""

CANARY_SPARE_SECONDS: Final = 3600
"""That a canary's job has beyond the experiment's hours."""

FAILED: Final = "StageFailed"
"""The state that a stage leads to when its job ends with an error."""


@dataclass(frozen=True, kw_only=True)
class LifecycleFacts:
    """What the deployment knows."""

    job: str
    """ARN of the alias of the state machine `job`."""
    study: str
    """ARN of the alias of the state machine `study`."""
    workspace: str
    lake: str
    model: str
    """Name of the model in the registry."""
    model_store: str
    """Bucket of the registry."""
    topic: str
    """ARN of the SNS topic for e-mail to people."""
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
                "requested_by": $by, "pipeline": $states.context.Execution.Name, "again": $again, "inputs": $what,
                "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": $states.context.Execution.Id
            }}
        }}
    )"""
    outcome = {
        "spent": jsonata("$spent + $states.result.Output.usd"),
        "outcome": jsonata(_text_or("outcome", '""')),
        "message": jsonata(_text_or("message", '""')),
        "report": jsonata(_text_or("report", "$states.result.Output.result")),
    }
    caught = stage_failed(name)
    return sync_task(settings, arguments, seconds=seconds) | {"Assign": outcome, "Catch": [caught], "Next": to} | more


def sync_task(settings: PipelineSettings, arguments: str, *, seconds: int | str) -> State:
    """Start an execution and wait for its end. `arguments` is an expression; a job's own limit are `seconds`.

    The time limit is that of a job that has all its attempts and waits for capacity each time.
    """
    return {
        "Type": "Task",
        "Resource": SYNC,
        "Arguments": jsonata(arguments),
        "TimeoutSeconds": most_seconds(settings, seconds)
        if isinstance(seconds, int)
        else jsonata(f"{settings.attempts} * {seconds} + {most_seconds(settings, 0)}"),
        "Retry": [BUSY],
    }


def stage_failed(name: str) -> dict[str, Any]:
    """What follows a failed stage: the pipeline's end, with the job's own error."""
    return catch(["States.ALL"], FAILED, failure=f'$merge([{child_failure()}, {{"stage": "{name}"}}])')


def most_seconds(settings: PipelineSettings, seconds: int) -> int:
    """Returns how long a job whose work takes `seconds` may take, with all of its attempts and waits."""
    attempt = settings.boot_seconds + seconds + 2 * END_SECONDS
    waits = sum(min(settings.capacity_seconds * 2**n, 1800) for n in range(settings.capacity_tries))
    return settings.attempts * (attempt + waits) + 3600


def _text_or(field: str, otherwise: str) -> str:
    path = f"$states.result.Output.{field}"
    return f"$type({path}) = 'string' ? {path} : {otherwise}"


def child_failure() -> str:
    """A failed child's own `error` and `cause`: the cause of its task is its description, as JSON."""
    return f"""(
        $text := {ERROR_CAUSE};
        $child := $substring($text, 0, 1) = "{{" ? $parse($text) : {{}};
        {{
            "error": $exists($child.Error) ? $child.Error :
                $child.Status = "ABORTED" ? "Cancelled" : $states.errorOutput.Error,
            "cause": {child_cause("$child", "$text")}
        }}
    )"""


def child_cause(child: str, otherwise: str) -> str:
    """Returns the expression of a sentence on why an execution of `job` failed; one that was stopped has no cause.

    `child` is its description, empty if there is none; `otherwise` is what Step Functions says then.
    """
    ended = (
        f'"its execution " & {child}.Name & " ended as " & {child}.Status & '
        '": somebody cancelled the job, or stopped the execution; petpark jobs list shows who"'
    )
    return f"$exists({child}.Cause) ? {child}.Cause : $exists({child}.Status) ? {ended} : {otherwise}"
