"""Stack configuration, read once into one frozen record. Everything that differs between stacks is a value here."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

import pulumi

from infra.instance_types import InstanceType, InstanceTypeUnsupported, instance_type

OWN = "own"
"""Value of `petpark:platform` in the stack that owns the platform; others name that stack."""

NONE = "none"
"""Value of a setting that is deliberately empty."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


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


@dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """What an endpoint is, and who may reach it."""

    kind: str
    channel: str
    require_certificate: bool
    poll_seconds: float
    instance_type: InstanceType
    volume_gb: int
    min_instances: int
    max_instances: int
    port: int
    clients: str
    """Address block that may connect, as CIDR."""
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
    return read(pulumi.Config("petpark").get, region=pulumi.Config("aws").get("region"))


def read(get: Callable[[str], str | None], *, region: str | None) -> StackSettings:
    """Check all values that `get` gives. Raises `SettingsInvalid` naming every wrong key, not only the first."""
    values = _Reader(get)
    settings = StackSettings(
        region=region or values.wrong("aws:region", None, "a region such as eu-west-1", ""),
        platform_stack=values.optional("platform", OWN),
        model=values.matching("model", _NAME, "a short name of lower-case letters, digits and hyphens"),
        protect_data=values.boolean("protect_data"),
        network=values.network("network", prefix_at_most=22),
        zones=values.zones("zones", region),
        log_days=values.one_of("log_days", LOG_DAYS),
        latency_alarm_ms=values.integer("latency_alarm_ms", 1, 60_000),
        alarm_email=values.optional("alarm_email", NONE),
        training=_training(values),
        endpoint=_endpoint(values),
    )
    values.settle()
    return settings


# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


def _training(values: "_Reader") -> TrainingSettings:
    kind = values.instance_type("training_instance_type")
    return TrainingSettings(
        instance_type=kind,
        spot=values.boolean("training_spot"),
        volume_gb=values.integer("training_volume_gb", kind.smallest_volume_gb, 16_384),
        max_minutes=values.integer("training_max_minutes", 5, 7 * 24 * 60),
    )


def _endpoint(values: "_Reader") -> EndpointSettings:
    kind = values.instance_type("endpoint_instance_type")
    fewest = values.integer("endpoint_min_instances", 0, 100)
    return EndpointSettings(
        kind=values.one_of("endpoint_kind", ("instance", "autoscaled")),
        channel=values.matching("channel", _NAME, "a short name of lower-case letters, digits and hyphens"),
        require_certificate=values.boolean("require_certificate"),
        poll_seconds=values.seconds("poll_seconds"),
        instance_type=kind,
        volume_gb=values.integer("endpoint_volume_gb", kind.smallest_volume_gb, 16_384),
        min_instances=fewest,
        max_instances=values.integer("endpoint_max_instances", max(1, fewest), 100),
        port=values.integer("endpoint_port", 1, 65_535),
        clients=values.network("clients", prefix_at_most=32),
        tls_certificate=values.optional("tls_certificate", NONE),
    )


class _Reader:
    """Reads values and remembers what is wrong with them, so that one error can tell all of it."""

    def __init__(self, get: Callable[[str], str | None]) -> None:
        self._get = get
        self._wrong: list[str] = []

    def settle(self) -> None:
        if self._wrong:
            raise SettingsInvalid(
                "the stack's configuration cannot be used:\n"
                + "\n".join(f"  {line}" for line in self._wrong)
                + "\nmend Pulumi.<stack>.yaml; Pulumi.yaml says what each key means"
            )

    def wrong[T](self, key: str, value: str | None, expected: str, instead: T) -> T:
        """Note that `key` is wrong; the reading goes on with `instead`, which nobody will see."""
        self._wrong.append(f"{key} is {'not set' if value is None else repr(value)}; expected {expected}")
        return instead

    def text(self, key: str, expected: str) -> str:
        value = self._get(key)
        return value or self.wrong(f"petpark:{key}", value, expected, "")

    def optional(self, key: str, absent: str) -> str | None:
        value = self.text(key, f"a value, or {absent!r}")
        return None if value == absent else value

    def matching(self, key: str, pattern: re.Pattern[str], expected: str) -> str:
        value = self._get(key)
        return value if value and pattern.fullmatch(value) else self.wrong(f"petpark:{key}", value, expected, "")

    def boolean(self, key: str) -> bool:
        value = self._get(key)
        return (
            value == "true"
            if value in {"true", "false"}
            else self.wrong(f"petpark:{key}", value, "true or false", False)
        )

    def integer(self, key: str, lowest: int, highest: int) -> int:
        value = self._get(key)
        if value is not None and re.fullmatch(r"\d{1,9}", value) and lowest <= int(value) <= highest:
            return int(value)
        return self.wrong(f"petpark:{key}", value, f"a whole number from {lowest} to {highest}", lowest)

    def seconds(self, key: str) -> float:
        value = self._get(key)
        if value is not None and re.fullmatch(r"\d{1,4}(\.\d{1,3})?", value) and 0.05 <= float(value) <= 3600:
            return float(value)
        return self.wrong(f"petpark:{key}", value, "seconds from 0.05 to 3600", 1.0)

    def one_of[T: (str, int)](self, key: str, choices: tuple[T, ...]) -> T:
        value = self._get(key)
        chosen = {str(choice): choice for choice in choices}
        if value in chosen:
            return chosen[value]
        return self.wrong(f"petpark:{key}", value, f"one of {', '.join(chosen)}", choices[0])

    def network(self, key: str, *, prefix_at_most: int) -> str:
        value = self._get(key)
        try:
            network = ipaddress.IPv4Network(value or "")
        except ValueError:
            network = None
        if network is not None and network.prefixlen <= prefix_at_most:
            return str(network)
        return self.wrong(f"petpark:{key}", value, "an address block such as 10.20.0.0/16", "")

    def zones(self, key: str, region: str | None) -> tuple[str, str]:
        value = self._get(key)
        names = [name.strip() for name in (value or "").split(",")]
        if len(set(names)) == 2 and all(re.fullmatch(rf"{re.escape(region or '')}[a-z]", name) for name in names):
            return names[0], names[1]
        expected = f"two zones of the region, such as {region or 'eu-west-1'}a,{region or 'eu-west-1'}b"
        return self.wrong(f"petpark:{key}", value, expected, ("", ""))

    def instance_type(self, key: str) -> InstanceType:
        value = self._get(key)
        try:
            return instance_type(value or "")
        except InstanceTypeUnsupported as problem:
            return self.wrong(f"petpark:{key}", value, f"another: {problem}", instance_type("t3.micro"))
