"""What a stack's endpoint is, read from the stack's configuration."""

import re
from dataclasses import dataclass

from infra.configuration.instance_types import InstanceType
from infra.configuration.settings_reader import NONE, Reader
from registry.telemetry import (
    CAMERA_OR_ALL,
    LARGEST_BUFFER_MB,
    REDACTABLE,
    SMALLEST_BUFFER_MB,
    TelemetryPolicy,
)

_LONGEST_CERTIFIED = 64
"""The longest name, in characters, for which ACM issues a certificate.
https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html"""

_AMAZONS = ".amazonaws.com"

HEALTH_PORT = 8081
"""Where instances answer their load balancer's probes: callers that use up all connections must not fail them."""


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
    """ONNX Runtime's execution providers, by their short names, in order of preference."""
    host_name: str | None
    """Host name at which clients call it, over HTTPS; None: plain HTTP."""
    dns_zone: str | None
    """Route 53 hosted zone of the name; None: its DNS is elsewhere."""
    tls_certificate: str | None
    """ARN of a certificate for the name; None: one is requested and validated in the zone."""
    telemetry: TelemetryPolicy
    """What is recorded of predictions."""
    otlp_endpoint: str | None
    """Where traces and metrics are sent by OpenTelemetry; None: nowhere."""


def read_endpoint(values: Reader, region: str) -> EndpointSettings:
    """Read and check all settings of the endpoint."""
    machine = values.instance_type("endpoint_instance_type")
    kind = values.one_of("endpoint_kind", ("instance", "autoscaled"))
    host, zone, certificate = _host(values, kind, region)
    api_keys = values.one_of("api_keys", ("required", "open"))
    in_the_clear = values.boolean("allow_keys_over_http")
    if api_keys == "required" and host is None and not in_the_clear:
        values.refuse("api_keys", api_keys, _keys_in_the_clear(kind))
    grpc_port = values.integer("grpc_port", 0, 65_535)
    if kind == "autoscaled" and grpc_port:
        values.refuse(
            "grpc_port", str(grpc_port), "0: the load balancer of an autoscaled endpoint forwards only HTTP/1"
        )
    port = values.integer("endpoint_port", 1, 65_535)
    if grpc_port == port:
        values.refuse("grpc_port", str(grpc_port), f"another port than endpoint_port, which is {port}, or 0")
    if kind == "autoscaled" and port == HEALTH_PORT:
        values.refuse("endpoint_port", str(port), "another port: the load balancer asks for health on this one")
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
        port=port,
        clients=values.network("clients", range(33)),
        api_keys=api_keys,
        grpc_port=grpc_port,
        providers=values.providers("endpoint_providers"),
        host_name=host,
        dns_zone=zone,
        tls_certificate=certificate,
        telemetry=_telemetry(values),
        otlp_endpoint=_collector(values),
    )


def _collector(values: Reader) -> str | None:
    address = values.optional("otlp_endpoint", NONE)
    if address and not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?(/[A-Za-z0-9._~/-]*)?", address):
        values.refuse("otlp_endpoint", address, f"an address such as http://127.0.0.1:4318, or {NONE}")
    return address


def _telemetry(values: Reader) -> TelemetryPolicy:
    redactable = ", ".join(sorted(REDACTABLE))
    return TelemetryPolicy(
        sample_percent=values.integer("telemetry_sample_percent", 0, 100),
        buffer_mb=values.integer("telemetry_buffer_mb", SMALLEST_BUFFER_MB, LARGEST_BUFFER_MB),
        thumbnails=values.texts("telemetry_thumbnails", CAMERA_OR_ALL, "a list of cameras, ['*'] for all, or []"),
        redact=values.texts(
            "telemetry_redact", re.compile("|".join(sorted(REDACTABLE))), f"a list of some of {redactable}, or []"
        ),
    )


def _host(values: Reader, kind: str, region: str) -> tuple[str | None, str | None, str | None]:
    """Read host name, hosted zone and certificate: none of them makes sense alone."""
    host, zone = values.host_name("host_name"), values.host_name("dns_zone")
    certificate = values.optional("tls_certificate", NONE)
    if kind == "instance":
        for key, value in (("host_name", host), ("dns_zone", zone), ("tls_certificate", certificate)):
            if value:
                values.refuse(key, value, f"{NONE}: only the load balancer of an autoscaled endpoint speaks HTTPS")
        return None, None, None
    if host is None:
        why = "no certificate can cover the load balancer's own name"
        for key, value in (("dns_zone", zone), ("tls_certificate", certificate)):
            if value:
                values.refuse(key, value, f"{NONE}, or host_name as well: {why}")
        return None, None, None
    if host.endswith(_AMAZONS):
        values.refuse("host_name", host, "a name of your own: you cannot get a certificate for one of Amazon's")
    elif zone is None and certificate is None:
        values.refuse("host_name", host, "dns_zone, in which a certificate is validated, or tls_certificate as well")
    if zone and host != zone and not host.endswith(f".{zone}"):
        values.refuse("host_name", host, f"a name in the zone, such as photos.{zone}")
    if certificate and not re.fullmatch(
        rf"arn:aws[a-z-]*:acm:{re.escape(region)}:\d{{12}}:certificate/.+", certificate
    ):
        expected = f"the ARN of an ACM certificate in {region}, where the load balancer is"
        values.refuse("tls_certificate", certificate, expected)
    if certificate is None and len(host) > _LONGEST_CERTIFIED:
        values.refuse("host_name", host, f"at most {_LONGEST_CERTIFIED} characters, ACM's limit")
    return host, zone, certificate


def _keys_in_the_clear(kind: str) -> str:
    """Returns what the choices are if keys would be sent over plain HTTP."""
    secured = "host_name with dns_zone or tls_certificate"
    if kind == "instance":
        secured = f"endpoint_kind autoscaled and {secured}"
    return (
        f"{secured}, because over plain HTTP anybody on the network path can read a key; "
        "or allow_keys_over_http: true, if you trust the network"
    )
