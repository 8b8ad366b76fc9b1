"""The state machine `act`: runs an action of an alarm or a schedule once, and reports it. Pure. docs/design/alarms.md

EventBridge and Scheduler may deliver an event twice and cannot set execution names. So this state machine derives the
name of what it starts from a hash of the event: for a repeated event the name is already in use.
"""

from dataclasses import dataclass
from typing import Any, Final

from infra.configuration.alarm_actions import Action
from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline.asl import ERROR_CAUSE, State, States, assign, catch, choice, fail, jsonata, machine, task
from infra.pipeline.lifecycle.stages import BUSY, SYNC, child_failure, most_seconds
from infra.pipeline.report_jobs import monthly_inputs

DRIFT: Final = "drift"
MONTHLY_REPORT: Final = "monthly-report"
"""Actions that schedules start."""

_TAKEN: Final = ["StepFunctions.ExecutionAlreadyExistsException", "StepFunctions.ExecutionAlreadyExists"]
_INPUT: Final = "$states.input"
_SCHEDULED: Final = "<aws.scheduler.scheduled-time>"
# Each execution of `act` passes a different input, so starting the same name again is an error: with an equal input,
# StartExecution would succeed and return the running execution.
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_STARTED_BY: Final = '"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": $states.context.Execution.Id'


@dataclass(frozen=True, kw_only=True)
class ActionFacts:
    """Inputs from the deployment."""

    job: str
    """ARN of the alias of the state machine `job`."""
    start: str
    """ARN of the alias of the state machine `start`."""
    topic: str
    """ARN of the SNS topic to which outcomes of alarms' actions are reported."""
    tickets: str
    """ARN of the SNS topic to which the monthly report is sent."""
    stack: str
    """The stack that owns the pipeline."""
    settings: PipelineSettings


def drift_input(stack: str) -> dict[str, str]:
    """Input of a schedule; EventBridge Scheduler fills in the time.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    return {"action": DRIFT, "stack": stack, "at": _SCHEDULED}


def monthly_report_input(stack: str) -> dict[str, str]:
    """Input of the monthly report's schedule."""
    return {"action": MONTHLY_REPORT, "stack": stack, "at": _SCHEDULED}


def definition(facts: ActionFacts) -> dict[str, Any]:
    """The state machine, as Amazon States Language."""
    states = {**_choose(facts), **_job(facts), **_pipeline(facts), **_report(facts)}
    limit = most_seconds(facts.settings, facts.settings.small_minutes * 60) + 3600
    return machine("Run an action of an alarm or a schedule once", "Action", states, timeout=limit)


def _choose(facts: ActionFacts) -> States:
    texts = " and ".join(f"$type({_INPUT}.{name}) = 'string'" for name in ("stack", "at"))
    alarm = f"$type({_INPUT}.alarm) = 'string'"
    drift = {"stack": jsonata(f"{_INPUT}.stack"), "at": jsonata(f"{_INPUT}.at")}
    report = monthly_inputs(facts.settings, stack=jsonata(f"{_INPUT}.stack"))
    rollback = {
        "stack": jsonata(f"{_INPUT}.stack"),
        "channel": jsonata(f"{_INPUT}.channel"),
        "alarm": jsonata(f"{_INPUT}.alarm"),
        "began": jsonata(f"{_INPUT}.at"),
        "hours": facts.settings.rollback_hours,
    }
    return {
        "Action": choice(
            (f"{_INPUT}.action = '{DRIFT}' and {texts}", "Drift"),
            (f"{_INPUT}.action = '{MONTHLY_REPORT}' and {texts}", "MonthlyReport"),
            (
                f"{_INPUT}.action = '{Action.ROLLBACK}' and {texts} and {alarm} and $type({_INPUT}.channel) = 'string'",
                "Rollback",
            ),
            (f"{_INPUT}.action = '{Action.START_PIPELINE}' and {texts} and {alarm}", "StartPipeline"),
            default="InputInvalid",
        ),
        "InputInvalid": fail("InputInvalid", '"Unknown action, or a field is missing: see docs/design/alarms.md."'),
        "Drift": assign({"purpose": "drift", "inputs": drift, "id": _id("drift"), "why": "", "done": ""}, "RunJob"),
        "MonthlyReport": assign(
            {"purpose": "report", "inputs": report, "id": _id("report"), "why": "", "done": ""}, "RunJob"
        ),
        "Rollback": assign(
            {"purpose": "rollback", "inputs": rollback, "id": _id("rollback"), "why": _why(), "done": ""}, "RunJob"
        ),
        "StartPipeline": assign({"id": _id("alarm"), "why": _why(), "done": ""}, "Start"),
    }


def _id(kind: str) -> str:
    """Id of the job or execution to start, at most 64 characters; equal for equal events."""
    alarm = f"($exists({_INPUT}.alarm) ? {_INPUT}.alarm : '')"
    channel = f"($exists({_INPUT}.channel) ? {_INPUT}.channel : '')"
    event = " & '|' & ".join([f"{_INPUT}.stack", alarm, channel, f"{_INPUT}.at"])
    return jsonata(f"'{kind}-' & $substring($hash({event}, 'SHA-256'), 0, 24)")


def _why() -> str:
    return jsonata(f"'alarm ' & {_INPUT}.alarm & ' of stack ' & {_INPUT}.stack & ' since ' & {_INPUT}.at")


def _job(facts: ActionFacts) -> States:
    settings = facts.settings
    seconds = settings.small_minutes * 60
    arguments = f"""{{
        "StateMachineArn": "{facts.job}",
        "Name": $id,
        "Input": {{
            "job": $id, "purpose": $purpose, "machine": "small", "max_seconds": {seconds}, "usd": {settings.job_usd},
            "requested_by": $states.context.Execution.RoleArn, "pipeline": null, "inputs": $inputs,
            {_STARTED_BY}
        }}
    }}"""
    message, report = (
        f"($type($states.result.Output.{name}) = 'string' ? $states.result.Output.{name} : '')"
        for name in ("message", "report")
    )
    return {
        "RunJob": task(
            SYNC,
            jsonata(arguments),
            TimeoutSeconds=most_seconds(settings, seconds),
            Retry=[BUSY],
            Assign={
                "done": jsonata(f"$states.result.Output.outcome & ': ' & {message}"),
                "message": jsonata(message),
                "report": jsonata(report),
            },
            Catch=[catch(_TAKEN, "AlreadyStarted"), catch(["States.ALL"], "Failed", failure=child_failure())],
            Next="ReportNeeded",
        ),
        "ReportNeeded": choice(("$purpose = 'report'", "SendReport"), ("$why = ''", "Done"), default="Report"),
        "AlreadyStarted": {
            "Type": "Succeed",
            "Comment": "The event was delivered more than once.",
            "Output": {"repeated": True, "name": jsonata("$id")},
        },
    }


def _pipeline(facts: ActionFacts) -> States:
    arguments = f"""{{
        "StateMachineArn": "{facts.start}", "Name": $id,
        "Input": {{"newest": true, {_STARTED_BY}}}
    }}"""
    started = "$states.result.Output.started = true"
    return {
        "Start": task(
            SYNC,
            jsonata(arguments),
            TimeoutSeconds=900,
            Retry=[BUSY],
            Assign={
                "done": jsonata(
                    f"{started} ? 'started ' & $states.result.Output.execution : "
                    "'started nothing: the pipeline already ran for the newest dataset (' "
                    "& $states.result.Output.execution & ')'"
                )
            },
            Catch=[catch(_TAKEN, "AlreadyStarted"), catch(["States.ALL"], "Failed", failure=child_failure())],
            Next="Report",
        )
    }


def _report(facts: ActionFacts) -> States:
    def message(text: str, to: str) -> State:
        return task(
            "arn:aws:states:::sns:publish",
            {
                "TopicArn": facts.topic,
                "Subject": f"petpark: {facts.stack}: result of an alarm action",
                "Message": jsonata(text),
            },
            Catch=[catch(["States.ALL"], to)],
            Next=to,
        )

    send = task(
        "arn:aws:states:::sns:publish",
        {
            "TopicArn": facts.tickets,
            "Subject": f"petpark: {facts.stack}: monthly report",
            "Message": jsonata("$message"),
        },
        Catch=[catch(["States.ALL"], "ReportNotSent", cause=ERROR_CAUSE)],
        Next="Done",
    )
    return {
        "SendReport": send,
        # It raises the alarm pipeline-failed. The report is not lost: the job has stored it.
        "ReportNotSent": fail(
            "ReportNotSent", '"The report is stored as " & $report & ", but was not sent: " & $cause'
        ),
        "Report": message("$why & '\n' & $id & ' ' & $done", "Done"),
        "Done": {"Type": "Succeed", "Output": {"repeated": False, "name": jsonata("$id"), "done": jsonata("$done")}},
        "Failed": choice(("$why = ''", "ActionFailed"), default="ReportFailure"),
        "ReportFailure": message(
            "$why & '\n' & $id & ' failed (' & $failure.error & '): ' & $failure.cause", "ActionFailed"
        ),
        "ActionFailed": fail("$failure.error", "$failure.cause", computed=True),
    }
