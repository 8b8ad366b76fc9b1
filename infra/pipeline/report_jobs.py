"""Inputs of scheduled jobs of purpose `report`. Pure."""

from typing import Any, Final

from infra.configuration.pipeline_settings import PipelineSettings

MONTHLY: Final = "monthly"
MONITORING: Final = "monitoring"

_EXECUTION: Final = "<aws.scheduler.execution-id>"
"""EventBridge Scheduler replaces it with the id of the invocation, such as d32c5kddcf5bb8c3.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html"""


def monthly_inputs(settings: PipelineSettings, *, stack: str) -> dict[str, str]:
    """Returns the inputs of a job for the report on the last complete month of `stack`."""
    return {**_inputs(MONTHLY, settings, stack), "month": ""}


def monitoring_input(settings: PipelineSettings, *, stack: str) -> dict[str, Any]:
    """Returns the input of the state machine `job` for a monitoring page; each invocation is a separate job."""
    return {
        "job": f"report-{MONITORING}-{_EXECUTION}",
        "purpose": "report",
        "machine": "small",
        "max_seconds": settings.small_minutes * 60,
        "inputs": _inputs(MONITORING, settings, stack),
    }


def _inputs(kind: str, settings: PipelineSettings, stack: str) -> dict[str, str]:
    return {"kind": kind, "stack": stack, "language": settings.report_language, "zone": settings.report_zone}
