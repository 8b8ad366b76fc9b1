"""What a stack tells the world: the same keys from every stack, in Pulumi's state and in the workspace."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.alarms.signals import Signal
from infra.component import Component
from infra.configuration import costs, prices
from infra.configuration.objectives import Objective
from infra.configuration.settings import StackSettings
from infra.configuration.settings_reader import NONE
from infra.endpoint.endpoint_kind import EndpointKind
from infra.endpoint.monitoring import Monitoring
from infra.instances.code import Code
from infra.platform import PipelinePart, Platform, TrainingPart
from registry.layout.workspace import stack_outputs_key


@dataclass(frozen=True, kw_only=True)
class StackRecordArgs:
    """What is written, and where."""

    workspace: pulumi.Input[str]
    outputs: Mapping[str, pulumi.Input[Any]]


class StackRecord(Component):
    """The outputs as an object in the workspace, for workers: they have no access to Pulumi's state."""

    def __init__(self, name: str, args: StackRecordArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        aws.s3.BucketObjectv2(
            **self.child("outputs"),
            bucket=args.workspace,
            key=stack_outputs_key(pulumi.get_stack()),
            content=pulumi.Output.json_dumps(dict(args.outputs), sort_keys=True),
            content_type="application/json",
            tags=self.tags,
        )
        self.register_outputs({})


def export(
    settings: StackSettings,
    platform: Platform,
    code: Code,
    training: TrainingPart,
    pipeline: PipelinePart,
    endpoint: EndpointKind,
    monitoring: Monitoring,
) -> None:
    """Export what commands, other stacks and people need to know."""
    outputs: dict[str, pulumi.Input[Any]] = {
        "region": settings.region,
        "model": settings.model,
        "model_store": platform.places.model_store,
        "data_lake": platform.places.data_lake,
        "workspace": platform.places.workspace,
        "encryption_key": platform.places.encryption_key,
        "signing_key": platform.places.signing_key,
        "roles": platform.roles,
        "channels": platform.channels,
        "certificate_days": platform.certificate_days,
        "gates": platform.gates,
        "code_bundle": code.sha256,
        "training": training.outputs,
        "pipeline": pipeline.outputs,
        "endpoint": endpoint.outputs,
        "list_prices": costs.listed(settings, prices.load()),
        "availability": _availability(settings, endpoint),
        "alarms": monitoring.topic.arn,
        "tickets": monitoring.tickets.arn,
        "alarm_email": settings.alarm_email or NONE,
    }
    for key, value in outputs.items():
        pulumi.export(key, value)
    StackRecord("record", StackRecordArgs(workspace=platform.places.workspace, outputs=outputs))


def _availability(settings: StackSettings, endpoint: EndpointKind) -> dict[str, Any]:
    """The availability objective, and the metrics that it is measured by."""
    share = endpoint.shares[Objective.AVAILABILITY]
    return {
        "objective": settings.objectives[Objective.AVAILABILITY],
        "bad": [_metric(signal) for signal in share.bad],
        "uncounted": [_metric(signal) for signal in share.uncounted],
        "total": _metric(share.total),
    }


def _metric(signal: Signal) -> dict[str, Any]:
    return {"namespace": signal.namespace, "metric": signal.metric, "dimensions": dict(signal.dimensions)}
