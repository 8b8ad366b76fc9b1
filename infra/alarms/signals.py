"""CloudWatch metrics, including those from metric filters on logs."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pulumi
import pulumi_aws as aws

from infra.alarms.rules import Question, Rule
from infra.component import Component
from infra.configuration.alarm_actions import Severity
from registry.log_lines import LogValue


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A CloudWatch metric."""

    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    milliseconds: float = 1.0
    """For durations: milliseconds per unit of the metric."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """An alarm to create: on the sum of `signals`, by `rule`."""

    kind: str
    """The alarm's entry in the runbook."""
    signals: tuple[Signal, ...]
    rule: Rule
    about: str = ""
    """Distinguishes alarms of one kind, such as the name of a stack."""

    @property
    def name(self) -> str:
        """Name of the alarm, unique within its stack."""
        return f"{self.kind}-{self.about}" if self.about else self.kind


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A deployed alarm that has actions."""

    kind: str
    """Its runbook entry."""
    severity: Severity
    about: str
    question: Question
    """The section of the dashboard that it is in."""
    name: pulumi.Output[str]
    arn: pulumi.Output[str]


def measure[Key: StrEnum](
    component: Component, log_group: aws.cloudwatch.LogGroup, values: Mapping[Key, LogValue], *, part: str = "endpoint"
) -> dict[Key, Signal]:
    """Create a metric filter for each value in the lines of a log group."""
    return {what: measure_one(component, log_group, what, value, part=part) for what, value in values.items()}


def measure_one(
    component: Component, log_group: aws.cloudwatch.LogGroup, what: str, value: LogValue, *, part: str
) -> Signal:
    """Create a metric filter for a value in a log group's lines; the metric's name begins with stack and `part`."""
    signal = Signal(namespace=pulumi.get_project(), metric=f"{pulumi.get_stack()}-{part}-{what}", dimensions={})
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
    return signal
