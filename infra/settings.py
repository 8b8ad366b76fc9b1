"""Stack configuration, read once into one frozen record. Everything that differs between stacks is a value here."""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import pulumi

from infra.instance_types import InstanceType, InstanceTypeUnsupported, instance_type
from registry.channel_policy import STRICT, ChannelPolicy, ChannelPolicyInvalid
from registry.gates import GatesInvalid, StackGates

OWN = "own"
"""Value of `petpark:platform` in the stack that owns the platform; others name that stack."""

NONE = "none"
"""Value of a setting that is deliberately empty."""

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DefaultRetention.html
_LONGEST_LOCK_DAYS = 36_500

_PROVIDERS = frozenset({"cpu", "cuda", "openvino", "tensorrt"})
"""ONNX Runtime's short names that an endpoint knows (`serving.providers`)."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^*?$/\s\"\\]+)*")
"""A bucket, or a part of one; nothing that IAM would read as a pattern or a variable."""

_MOST_SOURCES, _SOURCES_CHARACTERS = 20, 1_000
"""How many sources, and all of them together: a role's inline policies may have 10,240 characters.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

_SHORT = "a short name of lower-case letters, digits and hyphens"


class SettingsInvalid(ValueError):
    """The stack's configuration cannot be used; the message lists every key that is wrong."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """What a training instance is."""

    instance_type: InstanceType
    spot: bool
    volume_gb: int
    max_minutes: int
    """When the instance's own watchdog ends it, whatever it is doing."""
    instances: int
    """The most that train one job together; where it is 1 none of them can be connected to."""


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


@dataclass(frozen=True, kw_only=True)
class StackSettings:
    """One stack's configuration, whole and checked."""

    region: str
    platform_stack: str | None
    """The stack that owns the platform; None if it is this one."""
    model: str
    protect_data: bool
    """Refuse to destroy the platform's buckets while they hold anything."""
    object_lock_days: int
    """Days for which S3 keeps what is in the model store from being deleted for good; 0 for no Object Lock."""
    channels: Mapping[str, ChannelPolicy]
    """What each channel asks of whoever moves it; empty in a stack that does not own the platform."""
    photo_sources: tuple[str, ...]
    """`bucket` or `bucket/prefix` from which the publisher may ingest photos; none in a stack without the platform."""
    gates: StackGates
    """What photos and models must show, and how models are tested; empty in a stack that does not own the platform."""
    network: str
    """The stack's address block, as CIDR."""
    zones: tuple[str, str]
    log_days: int
    latency_alarm_ms: int
    alarm_email: str | None
    training: TrainingSettings
    endpoint: EndpointSettings


def load() -> StackSettings:
    """Read the configuration of the stack that is being deployed. Raises `SettingsInvalid`."""
    config = pulumi.Config()
    return read(config.get, region=pulumi.Config("aws").get("region"), namespace=config.name)


def read(get: Callable[[str], str | None], *, region: str | None, namespace: str) -> StackSettings:
    """Check all values that `get` gives. Raises `SettingsInvalid` naming every wrong key, not only the first."""
    values = _Reader(get, namespace)
    if not region:
        values.refuse("aws:region", region, "a region such as eu-west-1")
    platform_stack = values.optional("platform", OWN)
    endpoint = _endpoint(values)
    settings = StackSettings(
        region=region or "",
        platform_stack=platform_stack,
        model=values.name("model"),
        protect_data=values.boolean("protect_data"),
        object_lock_days=values.integer("object_lock_days", 0, _LONGEST_LOCK_DAYS),
        channels=_channels(values, platform_stack, endpoint.channel),
        photo_sources=_photo_sources(values, platform_stack),
        gates=_gates(values, platform_stack),
        network=values.network("network", range(16, 23)),
        zones=values.zones("zones", region or ""),
        log_days=values.one_of("log_days", LOG_DAYS),
        latency_alarm_ms=values.integer("latency_alarm_ms", 1, 60_000),
        alarm_email=values.optional("alarm_email", NONE),
        training=_training(values),
        endpoint=endpoint,
    )
    values.settle()
    return settings


def _channels(values: "_Reader", platform_stack: str | None, followed: str) -> Mapping[str, ChannelPolicy]:
    """Read what the platform's owner says of its channels: all of them are there, its own endpoint's included."""
    found = values.mapping("channels", "a map from channels to what they ask of whoever moves them")
    if found is None:
        return {}
    if platform_stack is None and followed and followed not in found:
        values.refuse("channels", ", ".join(found), f"{followed} among them, which the endpoint follows")
    if platform_stack and found:
        values.refuse("channels", ", ".join(found), _owners(platform_stack))
    for name in found:
        if not _NAME.fullmatch(name):
            values.refuse("channels", name, f"names like the others: {_SHORT}")
    return MappingProxyType({name: values.channel_policy(f"channels.{name}", found[name]) for name in found})


def _photo_sources(values: "_Reader", platform_stack: str | None) -> tuple[str, ...]:
    """Read where photos may come from besides disks; only the platform's owner has a role to grant it to."""
    found = values.texts("photo_sources", _SOURCE, "a list of buckets, or of bucket/prefix without * ? $, or []")
    if platform_stack and found:
        expected = f"[] where platform is not {OWN!r}: put them into Pulumi.{platform_stack}.yaml"
        values.refuse("photo_sources", ", ".join(found), expected)
    if len(found) > _MOST_SOURCES or sum(map(len, found)) > _SOURCES_CHARACTERS:
        limits = f"at most {_MOST_SOURCES} places of {_SOURCES_CHARACTERS:,} characters together"
        expected = f"{limits}, as a role's policy holds no more: name a common prefix, or whole buckets"
        values.refuse("photo_sources", f"{found[0]}, …", expected)
    return found


def _gates(values: "_Reader", platform_stack: str | None) -> StackGates:
    """Read what the platform's owner asks: its training and its registry are the ones that all stacks use."""
    found = values.mapping("gates", "a map of data, model and checks, each from names to values")
    if found is None or (platform_stack and not found):
        return StackGates()
    if platform_stack:
        values.refuse("gates", ", ".join(found), _owners(platform_stack))
        return StackGates()
    return values.stack_gates("gates", found)


def _owners(stack: str) -> str:
    return f"none where platform is not {OWN!r}: put them into Pulumi.{stack}.yaml"


def _training(values: "_Reader") -> TrainingSettings:
    kind = values.instance_type("training_instance_type")
    return TrainingSettings(
        instance_type=kind,
        spot=values.boolean("training_spot"),
        volume_gb=values.integer("training_volume_gb", kind.smallest_volume_gb, 16_384),
        max_minutes=values.integer("training_max_minutes", 5, 7 * 24 * 60),
        instances=values.integer("training_instances", 1, 64),
    )


def _endpoint(values: "_Reader") -> EndpointSettings:
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


class _Reader:
    """Reads values and remembers what is wrong with them, so that one error can tell all of it.

    What is returned for a wrong value is never seen: `settle` raises.
    """

    def __init__(self, get: Callable[[str], str | None], namespace: str) -> None:
        self._get = get
        self._namespace = namespace
        self._wrong: list[str] = []

    def settle(self) -> None:
        if self._wrong:
            raise SettingsInvalid(
                "the stack's configuration cannot be used:\n"
                + "\n".join(f"  {line}" for line in self._wrong)
                + "\nmend Pulumi.<stack>.yaml; Pulumi.yaml says what each key means"
            )

    def refuse(self, key: str, value: str | None, expected: str) -> None:
        self._wrong.append(f"{self._full(key)} is {'not set' if value is None else repr(value)}; expected {expected}")

    def optional(self, key: str, absent: str) -> str | None:
        value = self._read(key, lambda text: text or None, f"a value, or {absent!r}", "")
        return None if value == absent else value

    def name(self, key: str) -> str:
        return self._read(key, lambda text: text if _NAME.fullmatch(text) else None, _SHORT, "")

    def boolean(self, key: str) -> bool:
        return self._read(key, {"true": True, "false": False}.get, "true or false", False)

    def integer(self, key: str, lowest: int, highest: int) -> int:
        def parse(text: str) -> int | None:
            return int(text) if text.isascii() and text.isdigit() and lowest <= int(text) <= highest else None

        return self._read(key, parse, f"a whole number from {lowest} to {highest}", lowest)

    def one_of[T: (str, int)](self, key: str, choices: tuple[T, ...]) -> T:
        by_text = {str(choice): choice for choice in choices}
        return self._read(key, by_text.get, f"one of {', '.join(by_text)}", choices[0])

    def network(self, key: str, prefixes: range) -> str:
        def parse(text: str) -> str | None:
            try:
                network = ipaddress.IPv4Network(text)
            except ValueError:
                return None
            return str(network) if network.prefixlen in prefixes else None

        expected = f"an IPv4 block such as 10.20.0.0/16, with a prefix from /{prefixes[0]} to /{prefixes[-1]}"
        return self._read(key, parse, expected, "")

    def zones(self, key: str, region: str) -> tuple[str, str]:
        def parse(text: str) -> tuple[str, str] | None:
            match [name.strip() for name in text.split(",")]:
                case [first, second] if first != second and all(zone.fullmatch(name) for name in (first, second)):
                    return first, second
                case _:
                    return None

        zone = re.compile(rf"{re.escape(region)}[a-z]")
        return self._read(key, parse, f"two zones of the region, such as {region}a,{region}b", ("", ""))

    def instance_type(self, key: str) -> InstanceType:
        value = self._get(key)
        try:
            return instance_type(value or "")
        except InstanceTypeUnsupported as problem:
            self.refuse(key, value, f"a type that petpark can use: {problem}")
            return instance_type("t3.micro")

    def providers(self, key: str) -> str:
        def parse(text: str) -> str | None:
            names = [name.strip() for name in text.split(",")]
            return ",".join(names) if set(names) <= _PROVIDERS and len(set(names)) == len(names) else None

        return self._read(key, parse, f"some of {', '.join(sorted(_PROVIDERS))}, separated by commas", "")

    def mapping(self, key: str, expected: str) -> Mapping[str, Any] | None:
        """Read a structured value, which Pulumi gives to programs as JSON; None for a wrong one."""

        def parse(text: str) -> dict[str, Any] | None:
            try:
                value = json.loads(text)
            except ValueError:
                return None
            return cast("dict[str, Any]", value) if isinstance(value, dict) else None

        return self._read(key, parse, expected, None)

    def texts(self, key: str, each: re.Pattern[str], expected: str) -> tuple[str, ...]:
        """Read a list of texts, each like the pattern and none twice."""

        def parse(text: str) -> tuple[str, ...] | None:
            try:
                value = json.loads(text)
            except ValueError:
                return None
            if not isinstance(value, list):
                return None
            items = cast("list[object]", value)
            fitting = tuple(item for item in items if isinstance(item, str) and each.fullmatch(item))
            return fitting if len(set(fitting)) == len(items) else None

        return self._read(key, parse, expected, ())

    def channel_policy(self, key: str, value: Any) -> ChannelPolicy:
        try:
            return ChannelPolicy.from_dict(value if isinstance(value, dict) else {})
        except ChannelPolicyInvalid as problem:
            self._wrong.append(f"{self._full(key)}: {problem}")
            return STRICT

    def stack_gates(self, key: str, value: Mapping[str, Any]) -> StackGates:
        try:
            return StackGates.from_dict(value)
        except GatesInvalid as refused:
            self._wrong += [f"{self._full(key)}: {problem}" for problem in refused.problems]
            return StackGates()

    def _full(self, key: str) -> str:
        return key if ":" in key else f"{self._namespace}:{key}"

    def _read[T](self, key: str, parse: Callable[[str], T | None], expected: str, instead: T) -> T:
        value = self._get(key)
        parsed = None if value is None else parse(value)
        if parsed is not None:
            return parsed
        self.refuse(key, value, expected)
        return instead
