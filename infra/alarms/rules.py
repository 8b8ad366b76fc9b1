"""Conditions of CloudWatch alarms. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from infra.configuration.alarm_actions import Severity

type Missing = Literal["breaching", "notBreaching", "ignore"]

MINUTE: Final = 60
RUNBOOK: Final = "docs/runbook.md"
"""Path of the runbook in the repository."""


class Question(StrEnum):
    """Sections of the dashboard, in its order; an alarm means that the answer to one of them is bad."""

    UP = "Is it up?"
    RIGHT = "Is it right?"
    DRIFTING = "Is it drifting?"
    PIPELINE = "Does the pipeline run?"
    COST = "What does it cost?"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How the dashboard shows an alarm's signal."""

    question: Question
    title: str
    unit: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Condition of an alarm: `datapoints` of the last `periods` beyond `threshold`."""

    description: str
    statistic: str
    """A CloudWatch statistic, or a percentile such as p99."""
    comparison: Literal[
        "GreaterThanThreshold",
        "GreaterThanOrEqualToThreshold",
        "LessThanThreshold",
        "LessThanOrEqualToThreshold",
    ]
    threshold: float
    period: int = MINUTE
    """Seconds."""
    periods: int = 5
    datapoints: int = 3
    missing: Missing
    """How missing data is treated.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html"""
    severity: Severity = Severity.PAGE
    shown: Shown


def described(what: str, description: str, runbook: str = RUNBOOK) -> str:
    """Returns an alarm's description with its entry in the runbook; `runbook` is the path or address of that page."""
    return f"{description} {runbook}#{what}"


def reaches(
    threshold: float,
    description: str,
    *,
    statistic: str,
    shown: Shown,
    severity: Severity = Severity.PAGE,
    period: int = MINUTE,
    periods: int = 5,
    datapoints: int = 3,
    missing: Missing = "notBreaching",
) -> Rule:
    """The signal reaches `threshold`. Missing data is covered by another alarm (`in-service`)."""
    return Rule(
        description=description,
        statistic=statistic,
        comparison="GreaterThanOrEqualToThreshold",
        threshold=threshold,
        period=period,
        periods=periods,
        datapoints=datapoints,
        missing=missing,
        severity=severity,
        shown=shown,
    )
