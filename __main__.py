"""Petpark in one stack: `pulumi up --stack test`, then `pulumi up --stack prod`."""

from infra.configuration import settings
from infra.endpoint.endpoint_instance import EndpointArgs
from infra.endpoint.kinds import create_endpoint
from infra.endpoint.monitoring import complete_monitoring, create_monitoring
from infra.instances.code import Code, CodeArgs
from infra.network import Network, NetworkArgs
from infra.outputs import export
from infra.platform import create_pipeline, create_platform, create_training

stack = settings.load()

network = Network("network", NetworkArgs(region=stack.region, cidr=stack.network, zones=stack.zones))
platform = create_platform(stack)
code = Code("code", CodeArgs(workspace=platform.places.workspace))
training = create_training(stack, platform, network, code.bundle)
endpoint = create_endpoint(
    "endpoint",
    EndpointArgs(
        region=stack.region,
        settings=stack.endpoint,
        network=network,
        places=platform.places,
        bundle=code.bundle,
        roles=platform.roles,
        channels=platform.channels,
        log_days=stack.log_days,
        latency_ms=stack.latency_alarm_ms,
    ),
)
monitoring = create_monitoring("monitoring", stack, endpoint)
pipeline = create_pipeline(
    stack, platform, network, code, training, topic=monitoring.topic.arn, tickets=monitoring.tickets.arn
)
complete_monitoring(monitoring, stack, watched=pipeline.watched, act=pipeline.act)

export(stack, platform, code, training, pipeline, endpoint, monitoring)
