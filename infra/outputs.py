"""What a stack tells the world: the same keys from every stack."""

from collections.abc import Mapping
from typing import Any

import pulumi

from infra.configuration.settings import StackSettings
from infra.configuration.settings_reader import NONE
from infra.endpoint.endpoint_kind import EndpointKind
from infra.endpoint.monitoring import Monitoring
from infra.instances.code import Code
from infra.platform import Platform


def export(
    settings: StackSettings,
    platform: Platform,
    code: Code,
    training: pulumi.Input[Mapping[str, Any]],
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
        "training": training,
        "endpoint": endpoint.outputs,
        "alarms": monitoring.topic.arn,
        "tickets": monitoring.tickets.arn,
        "alarm_email": settings.alarm_email or NONE,
    }
    for key, value in outputs.items():
        pulumi.export(key, value)
