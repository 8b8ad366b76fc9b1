"""The CloudWatch metrics of an endpoint: AWS's own, and those made from its log lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.configuration.objectives import Objective
from infra.endpoint.alarms import MonitoredSignal


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A CloudWatch metric of an endpoint."""

    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    milliseconds: float = 1.0
    """For times: milliseconds per unit of the metric."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which of an endpoint's requests are bad: sums of metrics, which together are divided by another."""

    bad: tuple[Signal, ...]
    total: Signal


@dataclass(frozen=True, kw_only=True)
class LogValue:
    """A number in a log line of the endpoint."""

    message: str
    field: str

    @property
    def pattern(self) -> str:
        """The lines that have it: a filter can only extract fields that its pattern names.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html
        https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_logs.MetricFilterOptions.html#metricvalue
        """
        return f'{{ ($.message = "{self.message}") && ($.{self.field} = *) }}'


class Count(StrEnum):
    """What is counted for objectives and has no alarm of its own."""

    REQUESTS = "requests"
    SLOW = "slow"


COUNTED: Mapping[Count, LogValue] = {
    Count.REQUESTS: LogValue(message="answered", field="requests"),
    Count.SLOW: LogValue(message="answered", field="slow"),
}
ANSWERED: Mapping[MonitoredSignal, LogValue] = {
    MonitoredSignal.ERRORS: LogValue(message="answered", field="errors"),
    MonitoredSignal.LATENCY: LogValue(message="answered", field="p99_milliseconds"),
}
STATE: Mapping[MonitoredSignal, LogValue] = {
    MonitoredSignal.IN_SERVICE: LogValue(message="state", field="in_service"),
    MonitoredSignal.REFUSED: LogValue(message="state", field="refusing"),
    MonitoredSignal.STORE: LogValue(message="state", field="store_silent_seconds"),
    MonitoredSignal.CERTIFICATION: LogValue(message="state", field="certificate_days"),
}


def shares(
    signals: Mapping[MonitoredSignal, Signal], counts: Mapping[Count, Signal], *, requests: Signal | None = None
) -> Mapping[Objective, Share]:
    """Returns what each objective is measured by; `requests` are those that `signals` count errors among."""
    errors = [signals[each] for each in (MonitoredSignal.ERRORS, MonitoredSignal.BALANCER) if each in signals]
    return {
        Objective.AVAILABILITY: Share(bad=tuple(errors), total=requests or counts[Count.REQUESTS]),
        Objective.LATENCY: Share(bad=(counts[Count.SLOW],), total=counts[Count.REQUESTS]),
    }


def measure[Key: StrEnum](
    component: Component, log_group: aws.cloudwatch.LogGroup, values: Mapping[Key, LogValue]
) -> dict[Key, Signal]:
    """Make a metric of each number in the lines of a log group."""
    signals: dict[Key, Signal] = {}
    for what, value in values.items():
        signal = Signal(namespace=pulumi.get_project(), metric=f"{pulumi.get_stack()}-endpoint-{what}", dimensions={})
        aws.cloudwatch.LogMetricFilter(
            **component.child(what),
            log_group_name=log_group.name,
            pattern=value.pattern,
            metric_transformation={
                "namespace": signal.namespace,
                "name": signal.metric,
                "value": f"$.{value.field}",
            },
        )
        signals[what] = signal
    return signals
