"""The CloudWatch metrics of an endpoint: AWS's own, and those made from its log lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from infra.alarms.signals import Signal
from infra.configuration.objectives import Objective
from infra.endpoint.alarms import MonitoredSignal
from registry import log_lines
from registry.log_lines import LogValue


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which of an endpoint's requests are bad: sums of metrics, which together are divided by those of all requests.

    `uncounted` are bad requests that `total` does not count.
    """

    bad: tuple[Signal, ...]
    total: Signal
    uncounted: tuple[Signal, ...] = ()


class Count(StrEnum):
    """What is counted for objectives and has no alarm of its own."""

    REQUESTS = "requests"
    SLOW = "slow"


COUNTED: Mapping[Count, LogValue] = {
    Count.REQUESTS: log_lines.REQUESTS,
    Count.SLOW: log_lines.SLOW,
}
ANSWERED: Mapping[MonitoredSignal, LogValue] = {
    MonitoredSignal.ERRORS: log_lines.ERRORS,
    MonitoredSignal.LATENCY: log_lines.P99_MILLISECONDS,
}
STATE: Mapping[MonitoredSignal, LogValue] = {
    MonitoredSignal.IN_SERVICE: log_lines.IN_SERVICE,
    MonitoredSignal.REFUSED: log_lines.REFUSING,
    MonitoredSignal.STORE: log_lines.STORE_SILENT_SECONDS,
    MonitoredSignal.CERTIFICATION: log_lines.CERTIFICATE_DAYS,
    MonitoredSignal.DISK: log_lines.DISK_PERCENT,
    MonitoredSignal.OTHER_VERSION: log_lines.OTHER_VERSION_SECONDS,
    MonitoredSignal.TELEMETRY_LOST: log_lines.TELEMETRY_LOST,
}


def shares(
    signals: Mapping[MonitoredSignal, Signal], counts: Mapping[Count, Signal], *, requests: Signal | None = None
) -> Mapping[Objective, Share]:
    """Returns what each objective is measured by; `requests` are those that `signals` count errors among.

    A load balancer's RequestCount leaves out requests for which it has no instance, so that during an outage of all
    instances it is 0. Its own errors are among these, and some of them (504) are counted: the share is then too low
    by less than half, which no alarm misses.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
    """
    refused = tuple(signals[each] for each in (MonitoredSignal.BALANCER,) if each in signals)
    return {
        Objective.AVAILABILITY: Share(
            bad=(signals[MonitoredSignal.ERRORS], *refused),
            total=requests or counts[Count.REQUESTS],
            uncounted=refused,
        ),
        Objective.LATENCY: Share(bad=(counts[Count.SLOW],), total=counts[Count.REQUESTS]),
    }
