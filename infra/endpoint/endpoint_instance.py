"""What the instances of an endpoint are, whether there is one of them or a group."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi

from infra import policies
from infra.configuration.endpoint_settings import HEALTH_PORT, EndpointSettings
from infra.instances.instance_base import InstanceBase, InstanceBaseArgs
from infra.instances.user_data import Bundle, serving_script
from infra.network import Network
from infra.policies import ResourceNames
from infra.resource_names import ResourceNameOutputs
from registry.channel_policy import STRICT
from registry.layout.model_store import api_keys_prefix
from registry.layout.roles import Role
from registry.layout.variables import Variable


@dataclass(frozen=True, kw_only=True)
class EndpointArgs:
    """What an endpoint is, which models it answers from, and who may ask."""

    region: str
    settings: EndpointSettings
    network: Network
    places: ResourceNameOutputs
    bundle: pulumi.Output[Bundle]
    roles: pulumi.Input[Mapping[str, Any]]
    """ARNs of the operators' roles; an operator takes the promoter's through the endpoint, with their own right."""
    channels: pulumi.Input[Mapping[str, Any]]
    """Each channel's rule."""
    log_days: int
    latency_ms: int
    """Answers that take longer count as slow."""


def create_machine(name: str, args: EndpointArgs, parent: pulumi.Resource) -> InstanceBase:
    """Make identity, log, firewall and image of an endpoint's instances."""
    return InstanceBase(
        f"{name}-machine",
        InstanceBaseArgs(
            purpose="endpoint",
            instance_type=args.settings.instance_type,
            volume_gb=args.settings.volume_gb,
            grants=partial(policies.endpoint, stack=pulumi.get_stack()),
            places=args.places,
            vpc=args.network.vpc.id,
            log_days=args.log_days,
        ),
        pulumi.ResourceOptions(parent=parent),
    )


def start_script(args: EndpointArgs, machine: InstanceBase, *, behind_load_balancer: bool) -> pulumi.Output[str]:
    """User data of an endpoint's instances.

    `behind_load_balancer`: the firewall lets nobody else in, so what it says about a caller's way is believed, and it
    asks for their health on a port of its own.
    """
    stack = pulumi.get_stack()

    def script(
        places: ResourceNames, bundle: Bundle, log_group: str, roles: Mapping[str, Any], channels: Mapping[str, Any]
    ) -> str:
        settings = args.settings
        return serving_script(
            region=args.region,
            bundle=bundle,
            environment={
                Variable.MODEL_STORE: places.model_store,
                Variable.MODEL: places.model,
                Variable.CHANNEL: settings.channel,
                Variable.SIGNING_KEY: places.signing_key,
                Variable.REQUIRE_CERTIFICATE: str(settings.require_certificate).lower(),
                Variable.LOG_GROUP: log_group,
                # PETPARK_HOST is left to the machine: without it an endpoint listens on all of its addresses.
                Variable.PORT: str(settings.port),
                Variable.POLL_SECONDS: str(settings.poll_seconds),
                Variable.SLOW_MILLISECONDS: str(args.latency_ms),
                Variable.API_KEYS: settings.api_keys,
                Variable.API_KEYS_PREFIX: api_keys_prefix(stack),
                Variable.GRPC_PORT: str(settings.grpc_port),
                Variable.HEALTH_PORT: str(HEALTH_PORT if behind_load_balancer else 0),
                Variable.BEHIND_LOAD_BALANCER: str(behind_load_balancer).lower(),
                Variable.PROVIDERS: settings.providers,
                Variable.PROMOTER_ROLE: roles[Role.PROMOTER],
                Variable.DATA_LAKE: places.data_lake,
                Variable.STACK: stack,
                Variable.TELEMETRY: json.dumps(settings.telemetry.to_dict(), sort_keys=True),
                **({Variable.OTLP_ENDPOINT: settings.otlp_endpoint} if settings.otlp_endpoint else {}),
                Variable.CHANNEL_RULE: json.dumps(channels.get(settings.channel, STRICT.to_dict()), sort_keys=True),
            },
        )

    facts = pulumi.Output.all(args.places.resolved(), args.bundle, machine.log_group.name, args.roles, args.channels)
    return facts.apply(lambda values: script(*values))
