"""An endpoint's settings, read once from environment variables, and its limits."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from registry.channel_policy import STRICT, ChannelPolicy, ChannelPolicyInvalid
from registry.layout.model_store import API_KEYS
from registry.layout.variables import Variable
from registry.telemetry import TelemetryPolicy, TelemetryPolicyInvalid
from serving.inference.execution_providers import CPU_ONLY, ProviderUnknown, parse_providers

_MEBIBYTE = 1024 * 1024

HEADER_LINES = 100
"""Maximum header lines of one request: the HTTP library's fixed limit."""


class SettingMissing(ValueError):
    """A required environment variable is not set."""


class SettingInvalid(ValueError):
    """An environment variable has an invalid value."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of one endpoint: a caller beyond one is refused or disconnected, so that others are not slowed down.

    docs/design/limits.md has the response for each.
    """

    connections: int = 1024
    """Connections of all callers to one port."""
    peer_connections: int = 128
    """Connections of one caller's address to one port; not counted behind a load balancer, whose addresses are few."""
    probe_connections: int = 64
    """Connections to the port of health and metrics."""
    header_bytes: int = 64 * 1024
    """Maximum size of one request's header lines."""
    keep_alive_seconds: float = 75.0
    """Time that an idle connection stays open. More than the 60 s after which a load balancer drops it:
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html"""
    answer_seconds: float = 30.0
    """Maximum time that one piece of work may wait and run before its caller is asked to retry."""
    peer_messages: int = 4
    """gRPC messages of one caller's address that may arrive at the same time."""
    peer_calls: int = 64
    """gRPC calls of one caller's address that may wait or run."""
    calls: int = 1024
    """gRPC calls of all callers; beyond it gRPC itself answers RESOURCE_EXHAUSTED."""
    metadata_bytes: int = 16 * 1024
    """Metadata of one gRPC call."""
    body_bytes: int = 20 * _MEBIBYTE
    """Maximum size of one request's body."""
    held_bytes: int = 256 * _MEBIBYTE
    """Maximum size of all bodies in memory, complete or not."""
    peer_held_bytes: int = 64 * _MEBIBYTE
    """Maximum size of the bodies of one caller's address; not counted behind a load balancer."""
    body_seconds: float = 15.0
    """Maximum time for a body to arrive."""
    header_seconds: float = 10.0
    """Maximum time for the header lines of a connection's first request to arrive."""
    queue: int = 32
    """Requests that may wait for a thread. Callers share the queue: the one with the most requests is refused first."""
    pixels: int = 50_000_000
    """Maximum pixels of a photo, checked before it is decoded."""
    batch: int = 64
    """Maximum photos in one tensor of the inference protocol, or in one batch."""
    drain_seconds: float = 25.0
    """Maximum time for running requests to finish after SIGTERM."""
    drain_notice_seconds: float = 1.0
    """Time between reporting not ready and draining, in which load balancers stop sending requests."""
    end_seconds: float = 5.0
    """Time after draining until the process exits, even if threads are blocked."""

    @property
    def messages(self) -> int:
        """Maximum gRPC messages that may arrive at the same time: as many of the largest as fit `held_bytes`."""
        return max(1, self.held_bytes // self.body_bytes)


@dataclass(frozen=True, kw_only=True)
class RecordingSettings:
    """Where and how predictions are recorded."""

    data_lake: str
    stack: str
    policy: TelemetryPolicy


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """Settings of one endpoint."""

    model_store: str
    model: str
    channel: str
    signing_key: str | None
    require_certificate: bool = True
    log_group: str | None = None
    host: str = "0.0.0.0"  # noqa: S104 - access is restricted by the security group
    port: int = 8080
    poll_seconds: float = 2.0
    slow_milliseconds: float = 1000.0
    """Slower responses are counted, for the alarm on the latency objective."""
    threads: int = 1
    api_keys: Literal["required", "open"] = "open"
    """Whether callers without an API key may classify. Routes with the scope `admin` always require a key."""
    api_keys_prefix: str | None = None
    """Prefix of the log of API keys in the model store; None: no keys."""
    grpc_port: int = 0
    """Port for gRPC; 0: none."""
    health_port: int = 0
    """Additional port for health and metrics, with a separate limit of connections; 0: none."""
    behind_load_balancer: bool = False
    """Whether only a load balancer can connect: then its X-Forwarded-Proto header is trusted."""
    providers: tuple[str, ...] = CPU_ONLY
    """Execution providers, most preferred first."""
    cameras: tuple[str, ...] = ()
    """URLs of camera agents on this machine, whose state the page Live shows."""
    promoter_role: str | None = None
    """ARN of the role that operators assume to move the channel from the page Models; None: they cannot."""
    rule: ChannelPolicy = STRICT
    """The rule of the followed channel."""
    recording: RecordingSettings | None = None
    """None: predictions are not recorded."""
    instance: str = "local"
    cache: Path | None = None
    """Folder with the cache of verified files; None: no cache."""
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ServingSettings":
        """Returns the settings from the variables of `registry.layout`.

        Raises `SettingMissing` or `SettingInvalid`, naming the variable and its purpose.
        """
        read = _Reader(environment)
        require = read.boolean(Variable.REQUIRE_CERTIFICATE, default=True)
        signing_key = environment.get(Variable.SIGNING_KEY) or None
        if require and signing_key is None:
            raise SettingMissing(
                f"{Variable.SIGNING_KEY} is not set: certificates cannot be verified without the signing key. Set "
                f"it to the key's ARN, or set {Variable.REQUIRE_CERTIFICATE}=false to allow any version."
            )
        api_keys, api_keys_prefix = _api_keys(read)
        settings = cls(
            model_store=read.text(Variable.MODEL_STORE, "the bucket of the model registry"),
            model=read.text(Variable.MODEL, "the name of the model to serve"),
            channel=read.text(Variable.CHANNEL, "the channel to follow, such as test or prod"),
            signing_key=signing_key,
            require_certificate=require,
            log_group=environment.get(Variable.LOG_GROUP) or None,
            host=environment.get(Variable.HOST) or "0.0.0.0",  # noqa: S104 - as above
            port=int(read.number(Variable.PORT, default=8080, lowest=1, highest=65535)),
            poll_seconds=read.number(Variable.POLL_SECONDS, default=2.0, lowest=0.05, highest=3600),
            slow_milliseconds=read.number(Variable.SLOW_MILLISECONDS, default=1000.0, lowest=1, highest=60_000),
            threads=usable_cores(),
            api_keys=api_keys,
            api_keys_prefix=api_keys_prefix,
            grpc_port=int(read.number(Variable.GRPC_PORT, default=0, lowest=0, highest=65535)),
            health_port=int(read.number(Variable.HEALTH_PORT, default=0, lowest=0, highest=65535)),
            behind_load_balancer=read.boolean(Variable.BEHIND_LOAD_BALANCER, default=False),
            providers=_providers(environment),
            cameras=_cameras(environment),
            promoter_role=environment.get(Variable.PROMOTER_ROLE) or None,
            rule=_rule(environment),
            recording=_recording(read),
            instance=socket.gethostname(),
            cache=_cache(environment),
        )
        _ = settings.ports  # raises for a repeated port
        return settings

    @property
    def ports(self) -> Mapping[int, Variable]:
        """Ports on which the endpoint listens, with their variables. Raises `SettingInvalid` for a repeated one."""
        named = {Variable.PORT: self.port, Variable.GRPC_PORT: self.grpc_port, Variable.HEALTH_PORT: self.health_port}
        ports: dict[int, Variable] = {}
        for variable, port in named.items():
            if port in ports:
                raise SettingInvalid(f"{variable} is {port}, and so is {ports[port]}; give each its own port.")
            if port:
                ports[port] = variable
        return ports


def usable_cores() -> int:
    """Returns the number of processor cores available to this process, which may be limited by a container."""
    return os.process_cpu_count() or 1


def _api_keys(read: "_Reader") -> tuple[Literal["required", "open"], str | None]:
    """Returns whether keys are required, and their prefix. A default could open an endpoint by mistake."""
    prefix = read.environment.get(Variable.API_KEYS_PREFIX, "").strip() or None
    if prefix is not None and not (prefix.startswith(API_KEYS) and prefix.endswith("/")):
        raise SettingInvalid(f"{Variable.API_KEYS_PREFIX} is {prefix!r}; expected a prefix such as {API_KEYS}prod/.")
    match read.text(Variable.API_KEYS, "'required' if callers need an API key, else 'open'"):
        case "required":
            if prefix is None:
                raise SettingMissing(
                    f"{Variable.API_KEYS_PREFIX} is not set: required API keys must be read from the model store. "
                    f"Set it to the prefix of their log, or set {Variable.API_KEYS}=open."
                )
            return "required", prefix
        case "open":
            return "open", prefix
        case other:
            raise SettingInvalid(f"{Variable.API_KEYS} is {other!r}; expected required or open.")


def _providers(environment: Mapping[str, str]) -> tuple[str, ...]:
    try:
        return parse_providers(environment.get(Variable.PROVIDERS, ""))
    except ProviderUnknown as error:
        raise SettingInvalid(f"{Variable.PROVIDERS}: {error}") from None


def _cameras(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the agents' URLs. Only loopback is allowed, since their responses are forwarded to callers."""
    addresses = tuple(
        part.strip().rstrip("/") for part in environment.get(Variable.CAMERAS, "").split(",") if part.strip()
    )
    for address in addresses:
        try:
            split = urlsplit(address)
            usable = split.scheme == "http" and split.hostname in {"127.0.0.1", "localhost"} and not split.path
            usable = usable and split.port is not None and not split.query and split.username is None
        except ValueError:
            usable = False
        if not usable:
            raise SettingInvalid(
                f"{Variable.CAMERAS} contains {address!r}; expected comma-separated loopback URLs of agents, "
                "such as http://127.0.0.1:8090."
            )
    return addresses


def _rule(environment: Mapping[str, str]) -> ChannelPolicy:
    text = environment.get(Variable.CHANNEL_RULE, "").strip()
    if not text:
        return STRICT
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ChannelPolicyInvalid("it is not a JSON object")
        return ChannelPolicy.from_dict(cast("dict[str, Any]", values))
    except ValueError as error:
        raise SettingInvalid(f"{Variable.CHANNEL_RULE} is not a valid channel rule: {error}.") from None


def _recording(read: "_Reader") -> RecordingSettings | None:
    text = read.environment.get(Variable.TELEMETRY, "").strip()
    if not text:
        return None
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise TelemetryPolicyInvalid("it is not a JSON object")
        policy = TelemetryPolicy.from_dict(cast("dict[str, Any]", values))
    except ValueError as error:
        raise SettingInvalid(f"{Variable.TELEMETRY} is not a valid policy for recorded predictions: {error}.") from None
    if not policy.sample_percent:
        return None
    return RecordingSettings(
        data_lake=read.text(Variable.DATA_LAKE, "the bucket of recorded predictions"),
        stack=read.text(Variable.STACK, "the stack under which predictions are recorded"),
        policy=policy,
    )


def _cache(environment: Mapping[str, str]) -> Path | None:
    """Returns the cache folder: systemd's, one in the install root, or the user's; None if all are unset.

    systemd.exec(5), CacheDirectory=; https://specifications.freedesktop.org/basedir-spec/latest/
    """
    places = (("CACHE_DIRECTORY", ""), (Variable.HOME, "cache"), ("XDG_CACHE_HOME", "petpark"))
    for name, below in (*places, ("HOME", ".cache/petpark")):
        folder = Path(environment.get(name) or "")
        if folder.is_absolute():
            return folder / below
    return None


@dataclass(frozen=True)
class _Reader:
    environment: Mapping[str, str]

    def text(self, name: Variable, meaning: str) -> str:
        value = self.environment.get(name, "").strip()
        if not value:
            raise SettingMissing(f"{name} is not set: {meaning}. Set it in the environment of `python -m serving`.")
        return value

    def boolean(self, name: Variable, *, default: bool) -> bool:
        value = self.environment.get(name, "").strip().lower()
        if value not in {"", "true", "false"}:
            raise SettingInvalid(f"{name} is {value!r}; expected true or false.")
        return default if value == "" else value == "true"

    def number(self, name: Variable, *, default: float, lowest: float, highest: float) -> float:
        text = self.environment.get(name, "").strip()
        try:
            value = float(text) if text else default
        except ValueError:
            raise SettingInvalid(f"{name} is {text!r}; expected a number.") from None
        if not lowest <= value <= highest:
            raise SettingInvalid(f"{name} is {text}; expected {lowest:g} to {highest:g}.")
        return value
