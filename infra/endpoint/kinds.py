"""Where models answer: one instance, or a group of them behind a load balancer. The kind is a setting of the stack."""

from infra.endpoint.autoscaled_endpoint import AutoscaledEndpoint
from infra.endpoint.endpoint_instance import EndpointArgs
from infra.endpoint.endpoint_kind import EndpointKind
from infra.endpoint.instance_endpoint import InstanceEndpoint


def create_endpoint(name: str, args: EndpointArgs) -> EndpointKind:
    """Create the kind of endpoint that the stack's settings select."""
    kinds = {"instance": InstanceEndpoint, "autoscaled": AutoscaledEndpoint}
    return kinds[args.settings.kind](name, args)
