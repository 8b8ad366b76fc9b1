"""What a stack's endpoint is, read from the stack's configuration."""

from dataclasses import dataclass

from infra.instance_types import InstanceType
from infra.settings_reader import NONE, Reader


@dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """What an endpoint is, and who may reach it."""

    kind: str
    channel: str
    require_certificate: bool
    poll_seconds: int
    instance_type: InstanceType
    volume_gb: int
    min_instances: int
    max_instances: int
    port: int
    clients: str
    """Address block that may connect, as CIDR."""
    api_keys: str
    """`required`: callers need an API key; `open`: they do not."""
    grpc_port: int
    """Where instances answer gRPC; 0: nowhere."""
    providers: str
    """What models compute on, the most wanted first, by ONNX Runtime's short names."""
    tls_certificate: str | None
    """ARN of the load balancer's certificate; None for plain HTTP."""


def read_endpoint(values: Reader) -> EndpointSettings:
    """Read and check all settings of the endpoint."""
    machine = values.instance_type("endpoint_instance_type")
    kind = values.one_of("endpoint_kind", ("instance", "autoscaled"))
    certificate = values.optional("tls_certificate", NONE)
    if kind == "instance" and certificate is not None:
        values.refuse("tls_certificate", certificate, "none: only the load balancer of an autoscaled endpoint has one")
    grpc_port = values.integer("grpc_port", 0, 65_535)
    if kind == "autoscaled" and grpc_port:
        values.refuse(
            "grpc_port", str(grpc_port), "0: the load balancer of an autoscaled endpoint passes on HTTP/1 only"
        )
    fewest = values.integer("endpoint_min_instances", 0, 100)
    most = values.integer("endpoint_max_instances", 1, 100)
    if fewest > most:
        expected = f"a whole number from {fewest} to 100, as endpoint_min_instances is {fewest}"
        values.refuse("endpoint_max_instances", str(most), expected)
    return EndpointSettings(
        kind=kind,
        channel=values.name("channel"),
        require_certificate=values.boolean("require_certificate"),
        poll_seconds=values.integer("poll_seconds", 1, 3600),
        instance_type=machine,
        volume_gb=values.integer("endpoint_volume_gb", machine.smallest_volume_gb, 16_384),
        min_instances=fewest,
        max_instances=most,
        port=values.integer("endpoint_port", 1, 65_535),
        clients=values.network("clients", range(33)),
        api_keys=values.one_of("api_keys", ("required", "open")),
        grpc_port=grpc_port,
        providers=values.providers("endpoint_providers"),
        tls_certificate=certificate,
    )
