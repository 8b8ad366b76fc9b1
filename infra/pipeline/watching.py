"""What is watched of the pipeline, as signals with rules: `infra.pipeline.alarms.pipeline_alarms` decides on them."""

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from infra.alarms.signals import Signal, Watched, measure_one
from infra.component import Component
from infra.configuration.pipeline_settings import PipelineSettings
from infra.pipeline.alarms.pipeline_alarms import (
    FAILURES,
    FOUND,
    PipelineSignal,
    failed_rule,
    found_rules,
    spending_rule,
)
from infra.pipeline.alarms.spending import METRIC
from infra.pipeline.deployed_machine import ALIAS, Machine


def watch(
    component: Component,
    settings: PipelineSettings,
    machines: Mapping[str, Machine],
    *,
    log_group: aws.cloudwatch.LogGroup,
    least_accuracy: float,
) -> list[Watched]:
    """Alarms on `machines`, by name, on the month's spending, and on what comparisons wrote into `log_group`."""
    namespace, stack = pulumi.get_project(), pulumi.get_stack()
    spending = Signal(namespace=namespace, metric=f"{stack}-{METRIC}", dimensions={})
    watched = [
        Watched(kind=PipelineSignal.FAILED, about=name, signals=_failures(machine), rule=failed_rule())
        for name, machine in machines.items()
    ]
    watched.append(Watched(kind=PipelineSignal.SPENDING, signals=(spending,), rule=spending_rule(settings.month_usd)))
    if settings.drift_schedule is None:
        return watched
    for of in settings.drift_stacks:
        rules = found_rules(of, least_accuracy=least_accuracy)
        for what, value in FOUND.items():
            signal = measure_one(component, log_group, f"{what}-{of}", value.of(stack=of), part="found")
            watched.append(Watched(kind=what, about=of, signals=(signal,), rule=rules[what]))
    return watched


def _failures(machine: Machine) -> tuple[Signal, ...]:
    """Executions that ended otherwise than well. Those of an alias may be counted under its own dimension."""
    of_alias = {"StateMachineArn": machine.arn, "Alias": ALIAS}
    return tuple(
        Signal(namespace="AWS/States", metric=metric, dimensions=dimensions)
        for dimensions in ({"StateMachineArn": machine.arn}, of_alias)
        for metric in FAILURES
    )
