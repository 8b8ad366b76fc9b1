"""The CloudWatch metrics of an endpoint: AWS's own, and those made from its log lines."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.component import Component
from infra.endpoint.alarms import MonitoredSignal
from registry import log_lines
from registry.log_lines import LogValue


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A CloudWatch metric of an endpoint."""

    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    milliseconds: float = 1.0
    """For times: milliseconds per unit of the metric."""


ANSWERED: Mapping[MonitoredSignal, LogValue] = {
    MonitoredSignal.ERRORS: log_lines.ERRORS,
    MonitoredSignal.LATENCY: log_lines.P99_MILLISECONDS,
}
STATE: Mapping[MonitoredSignal, LogValue] = {
    MonitoredSignal.IN_SERVICE: log_lines.IN_SERVICE,
    MonitoredSignal.REFUSED: log_lines.REFUSING,
    MonitoredSignal.STORE: log_lines.STORE_SILENT_SECONDS,
    MonitoredSignal.CERTIFICATION: log_lines.CERTIFICATE_DAYS,
}


def measure(
    component: Component, log_group: aws.cloudwatch.LogGroup, values: Mapping[MonitoredSignal, LogValue]
) -> dict[MonitoredSignal, Signal]:
    """Make a metric of each number in the lines of a log group."""
    signals: dict[MonitoredSignal, Signal] = {}
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
