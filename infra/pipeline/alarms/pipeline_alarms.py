"""Alarms on the pipeline and on the results of drift jobs, with their thresholds. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from infra.alarms.rules import Question, Rule, Shown, reaches
from infra.configuration.alarm_actions import Severity
from registry import log_lines
from registry.log_lines import LogValue

_HOUR: Final = 3600
_SPENT_PERCENT: Final = 80


class PipelineSignal(StrEnum):
    """Signals of the pipeline; each has an alarm."""

    DRIFT = "drift"
    SILENT_CAMERA = "silent-camera"
    ACCURACY = "accuracy"
    FAILED = "pipeline-failed"
    SPENDING = "spending"


FOUND: Final[Mapping[PipelineSignal, LogValue]] = MappingProxyType(
    {
        PipelineSignal.DRIFT: log_lines.DRIFTING_CAMERAS,
        PipelineSignal.SILENT_CAMERA: log_lines.SILENT_CAMERAS,
        PipelineSignal.ACCURACY: log_lines.ACCURACY_PERCENT,
    }
)
"""Values in the log line of a drift job, per stack."""

FAILURES: Final = ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
"""https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html"""


def found_rules(stack: str, *, least_accuracy: float) -> Mapping[PipelineSignal, Rule]:
    """Rules for the results of a stack's drift job. An alarm keeps its state until the next job."""
    percent = round(100 * least_accuracy, 2)
    return {
        PipelineSignal.DRIFT: _found(
            1,
            f"The photos of a camera of stack {stack} differ from the validation photos: petpark drift",
            Shown(question=Question.DRIFTING, title="Cameras that drift", unit="cameras"),
        ),
        PipelineSignal.SILENT_CAMERA: _found(
            1,
            f"A camera of stack {stack} sends far fewer photos than at the same hours on earlier days.",
            Shown(question=Question.DRIFTING, title="Silent cameras", unit="cameras"),
        ),
        PipelineSignal.ACCURACY: replace(
            _found(
                percent,
                f"The estimated accuracy at a camera of stack {stack} is below {percent:g} %.",
                Shown(question=Question.RIGHT, title="Estimated accuracy, lowest of the cameras", unit="percent"),
            ),
            statistic="Minimum",
            comparison="LessThanThreshold",
        ),
    }


def _found(threshold: float, description: str, shown: Shown) -> Rule:
    return reaches(
        threshold,
        description,
        statistic="Maximum",
        shown=shown,
        severity=Severity.TICKET,
        period=_HOUR,
        periods=1,
        datapoints=1,
        missing="ignore",
    )


def failed_rule() -> Rule:
    """An execution failed, timed out or was stopped."""
    return reaches(
        1,
        "An execution of the pipeline failed, timed out or was stopped: petpark pipeline status",
        statistic="Sum",
        shown=Shown(question=Question.PIPELINE, title="Failed executions", unit="executions per minute"),
        severity=Severity.TICKET,
        periods=1,
        datapoints=1,
    )


def spending_rule(month_usd: int) -> Rule:
    """Spending of the month's jobs, including reservations, in USD."""
    return reaches(
        round(month_usd * _SPENT_PERCENT / 100, 2),
        f"Jobs have spent {_SPENT_PERCENT} % of the month's {month_usd} USD (petpark:pipeline.month_usd).",
        statistic="Maximum",
        shown=Shown(question=Question.COST, title="This month's jobs, including reservations", unit="USD"),
        severity=Severity.TICKET,
        periods=1,
        datapoints=1,
    )
