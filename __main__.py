"""Petpark in one stack: `pulumi up --stack test`, then `pulumi up --stack prod`."""

from infra.configuration import settings
from infra.endpoint.endpoint_instance import EndpointArgs
from infra.endpoint.kinds import create_endpoint
from infra.endpoint.monitoring import Monitoring, MonitoringArgs
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
    ),
)
monitoring = Monitoring(
    "monitoring",
    MonitoringArgs(
        signals=endpoint.signals,
        latency_ms=stack.latency_alarm_ms,
        email=stack.alarm_email,
    ),
)

pipeline = create_pipeline(stack, platform, network, code, training, monitoring.topic.arn)

export(stack, platform, code, training, pipeline, endpoint, monitoring)
