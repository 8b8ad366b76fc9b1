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


class Watched(StrEnum):
    """What an endpoint may have a signal for; the alarm has its name."""

    ERRORS = "errors"
    LATENCY = "latency"
    IN_SERVICE = "in-service"
    REFUSED = "refused"
    STORE = "store"
    CERTIFICATION = "certification"
    TLS = "tls"


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


def rules(*, latency_ms: int) -> Mapping[Watched, Rule]:
    """The rule for each signal. Times are in milliseconds."""
    return {
        Watched.ERRORS: Rule(
            description="The endpoint answers with errors (status 500 and above).",
            statistic="Sum",
            comparison="GreaterThanOrEqualToThreshold",
            threshold=_ERRORS_A_MINUTE,
            missing="notBreaching",  # nobody called
        ),
        Watched.LATENCY: Rule(
            description=f"One answer in a hundred takes longer than {latency_ms} ms.",
            statistic="p99",
            comparison="GreaterThanThreshold",
            threshold=latency_ms,
            missing="notBreaching",  # nobody called
        ),
        Watched.IN_SERVICE: Rule(
            description="No instance of the endpoint is in service: callers get no answer.",
            statistic="Maximum",
            comparison="LessThanThreshold",
            threshold=1,
            datapoints=5,  # an instance that boots, or is replaced, takes some minutes
            missing="breaching",  # a dead endpoint logs nothing
        ),
        Watched.REFUSED: Rule(
            description="An instance refuses the version that the channel names: petpark endpoints status",
            statistic="Maximum",
            comparison="GreaterThanOrEqualToThreshold",
            threshold=1,
            missing="notBreaching",  # missing data is another alarm's concern
        ),
        Watched.STORE: Rule(
            description=f"The model store has not answered an instance for {_SILENT_SECONDS} s; it serves what it has.",
            statistic="Maximum",
            comparison="GreaterThanOrEqualToThreshold",
            threshold=_SILENT_SECONDS,
            missing="notBreaching",  # as above
        ),
        Watched.CERTIFICATION: Rule(
            description=f"The certification of the version in force ends within {_DAYS_LEFT} days: petpark certify",
            statistic="Minimum",
            comparison="LessThanOrEqualToThreshold",
            threshold=_DAYS_LEFT,
            missing="notBreaching",  # no version, or none that needs a certificate
        ),
        Watched.TLS: Rule(
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
