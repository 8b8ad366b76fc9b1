"""What is monitored by default, and the thresholds. Pure: the endpoint says which signals it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

type Missing = Literal["breaching", "notBreaching", "ignore"]

_MINUTE, _DAY = 60, 24 * 60 * 60
_ERRORS_A_MINUTE = 5
_SILENT_SECONDS = 300
_DAYS_LEFT = 14


class MonitoredSignal(StrEnum):
    """What an endpoint may have a signal for; the alarm has its name."""

    ERRORS = "errors"
    BALANCER = "balancer"
    LATENCY = "latency"
    IN_SERVICE = "in-service"
    REFUSED = "refused"
    STORE = "store"
    CERTIFICATION = "certification"
    TLS = "tls"


RUNBOOK = "docs/runbook.md"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When an alarm fires: `datapoints` of the last `periods` beyond `threshold`."""

    description: str
    statistic: str
    """A statistic of CloudWatch, or a percentile such as p99."""
    comparison: Literal[
        "GreaterThanThreshold",
        "GreaterThanOrEqualToThreshold",
        "LessThanThreshold",
        "LessThanOrEqualToThreshold",
    ]
    threshold: float
    period: int = _MINUTE
    """Seconds."""
    periods: int = 5
    datapoints: int = 3
    missing: Missing
    """What a period without data counts as.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html"""


def rules(*, latency_ms: int) -> Mapping[MonitoredSignal, Rule]:
    """The rule for each signal. Times are in milliseconds."""
    return {
        MonitoredSignal.ERRORS: _too_many("The endpoint answers with errors (status 500 and above)."),
        MonitoredSignal.BALANCER: _too_many(
            "The load balancer itself answers 502, 503 or 504: an instance closes connections, none is in service, or "
            "one takes longer than the load balancer waits."
        ),
        MonitoredSignal.LATENCY: Rule(
            description=f"One answer in a hundred takes longer than {latency_ms} ms.",
            statistic="p99",
            comparison="GreaterThanThreshold",
            threshold=latency_ms,
            missing="notBreaching",  # no requests
        ),
        MonitoredSignal.IN_SERVICE: Rule(
            description="No instance of the endpoint is in service: callers get no answer.",
            statistic="Maximum",
            comparison="LessThanThreshold",
            threshold=1,
            datapoints=5,  # an instance that boots, or is replaced, takes some minutes
            missing="breaching",  # a dead endpoint logs nothing
        ),
        MonitoredSignal.REFUSED: _reaches(
            1, "An instance refuses the version that the channel names: petpark endpoints status", statistic="Maximum"
        ),
        MonitoredSignal.STORE: _reaches(
            _SILENT_SECONDS,
            f"The model store has not answered an instance for {_SILENT_SECONDS} s; it serves what it has.",
            statistic="Maximum",
        ),
        MonitoredSignal.CERTIFICATION: Rule(
            description=f"The certification of the version in force ends within {_DAYS_LEFT} days: petpark certify",
            statistic="Minimum",
            comparison="LessThanOrEqualToThreshold",
            threshold=_DAYS_LEFT,
            missing="notBreaching",  # no version, or none that needs a certificate
        ),
        MonitoredSignal.TLS: Rule(
            description=f"The load balancer's certificate ends within {_DAYS_LEFT} days and was not renewed.",
            statistic="Minimum",
            comparison="LessThanOrEqualToThreshold",
            threshold=_DAYS_LEFT,
            period=_DAY,  # the metric has a value twice a day
            periods=1,
            datapoints=1,
            missing="ignore",  # the metric begins hours after the certificate, and ends when that has run out
        ),
    }


def described(what: MonitoredSignal, rule: Rule) -> str:
    """Returns the alarm's description, with the address of its entry in the runbook."""
    return f"{rule.description} {RUNBOOK}#{what}"


def _too_many(description: str) -> Rule:
    """Errors in a minute. Counts of errors have no value in a minute without one."""
    return _reaches(_ERRORS_A_MINUTE, description, statistic="Sum")


def _reaches(threshold: float, description: str, *, statistic: str) -> Rule:
    """The signal is high. That it is missing is another alarm's concern (`in-service`)."""
    return Rule(
        description=description,
        statistic=statistic,
        comparison="GreaterThanOrEqualToThreshold",
        threshold=threshold,
        missing="notBreaching",
    )
