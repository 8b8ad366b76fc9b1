"""What is monitored by default, and the thresholds. Pure: the endpoint says which signals it has."""

from collections.abc import Mapping
from enum import StrEnum

from infra.alarms.rules import MINUTE, Question, Rule, Shown, reaches
from infra.configuration.alarm_actions import Severity

_DAY = 24 * 60 * MINUTE
_ERRORS_A_MINUTE = 5
_SILENT_SECONDS = 300
_DAYS_LEFT = 14
_DISK_PERCENT = 85
_OTHER_VERSION_SECONDS = 300


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
    DISK = "disk"
    OTHER_VERSION = "other-version"
    TELEMETRY_LOST = "telemetry-lost"


def rules(*, latency_ms: int) -> Mapping[MonitoredSignal, Rule]:
    """The rule for each signal. Times are in milliseconds."""
    return {**_of_answers(latency_ms), **_of_versions(), **_of_instances()}


def _of_answers(latency_ms: int) -> dict[MonitoredSignal, Rule]:
    return {
        MonitoredSignal.ERRORS: _too_many(
            "The endpoint returns errors (status 500 and above).", title="Errors (status 500 and above)"
        ),
        MonitoredSignal.BALANCER: _too_many(
            "The load balancer itself answers 502, 503 or 504: an instance closes connections, none is in service, or "
            "one takes longer than the load balancer waits.",
            title="Errors of the load balancer itself",
        ),
        MonitoredSignal.LATENCY: Rule(
            description=f"One answer in a hundred takes longer than {latency_ms} ms.",
            statistic="p99",
            comparison="GreaterThanThreshold",
            threshold=latency_ms,
            missing="notBreaching",  # no requests
            shown=Shown(question=Question.UP, title="Response time, 99th percentile", unit="milliseconds"),
        ),
        MonitoredSignal.IN_SERVICE: Rule(
            description="No instance of the endpoint is in service: callers get no answer.",
            statistic="Maximum",
            comparison="LessThanThreshold",
            threshold=1,
            datapoints=5,  # an instance that boots, or is replaced, takes some minutes
            missing="breaching",  # a dead endpoint logs nothing
            shown=Shown(question=Question.UP, title="Instances in service", unit="instances"),
        ),
    }


def _of_versions() -> dict[MonitoredSignal, Rule]:
    return {
        MonitoredSignal.REFUSED: reaches(
            1,
            "An instance refuses the version that the channel names: petpark endpoints status",
            statistic="Maximum",
            shown=Shown(question=Question.RIGHT, title="An instance refuses its version", unit="1: yes, 0: no"),
        ),
        MonitoredSignal.STORE: reaches(
            _SILENT_SECONDS,
            f"The model store has not answered an instance for {_SILENT_SECONDS} s; it serves what it has.",
            statistic="Maximum",
            shown=Shown(question=Question.RIGHT, title="Time without an answer from the model store", unit="seconds"),
        ),
        MonitoredSignal.CERTIFICATION: Rule(
            description=f"The certification of the version in force ends within {_DAYS_LEFT} days: petpark certify",
            statistic="Minimum",
            comparison="LessThanOrEqualToThreshold",
            threshold=_DAYS_LEFT,
            missing="notBreaching",  # no version, or none that needs a certificate
            shown=Shown(question=Question.RIGHT, title="Certificate of the version, time left", unit="days"),
        ),
    }


def _of_instances() -> dict[MonitoredSignal, Rule]:
    return {
        MonitoredSignal.TLS: Rule(
            description=f"The load balancer's certificate ends within {_DAYS_LEFT} days and was not renewed.",
            statistic="Minimum",
            comparison="LessThanOrEqualToThreshold",
            threshold=_DAYS_LEFT,
            period=_DAY,  # the metric has a value twice a day
            periods=1,
            datapoints=1,
            missing="ignore",  # the metric begins hours after the certificate, and ends when that has run out
            shown=Shown(question=Question.UP, title="TLS certificate, time left", unit="days"),
        ),
        MonitoredSignal.DISK: reaches(
            _DISK_PERCENT,
            f"An instance's disk is {_DISK_PERCENT} % full.",
            statistic="Maximum",
            shown=Shown(question=Question.UP, title="Fullest disk", unit="percent"),
            severity=Severity.TICKET,
        ),
        MonitoredSignal.OTHER_VERSION: reaches(
            _OTHER_VERSION_SECONDS,
            f"An instance has answered for {_OTHER_VERSION_SECONDS} s from a version other than its channel's.",
            statistic="Maximum",
            shown=Shown(question=Question.RIGHT, title="Time on another version than the channel's", unit="seconds"),
        ),
        MonitoredSignal.TELEMETRY_LOST: reaches(
            1,
            "Sampled predictions could not be stored: drift is detected late or not at all.",
            statistic="Sum",
            shown=Shown(question=Question.DRIFTING, title="Lost recorded predictions", unit="predictions"),
            severity=Severity.TICKET,
        ),
    }


def _too_many(description: str, *, title: str) -> Rule:
    """Errors in a minute. Counts of errors have no value in a minute without one."""
    shown = Shown(question=Question.UP, title=title, unit="answers per minute")
    return reaches(_ERRORS_A_MINUTE, description, statistic="Sum", shown=shown)
