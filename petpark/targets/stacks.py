"""The outputs of a deployed stack, as typed records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from petpark.errors import StackOutdated
from registry.channel_policy import ChannelPolicy, ChannelPolicyInvalid
from registry.gates import GatesInvalid, StackGates

LONGEST_DAYS = 365
"""Of a certificate, where the stack was deployed before it could say so."""


@dataclass(frozen=True, kw_only=True)
class TrainingOutputs:
    """Where training instances start from, and as what."""

    launch_template: str
    subnets: Mapping[str, str]
    """Zone -> its subnet."""
    instance_types: tuple[str, ...]
    """In order of preference."""
    spot: bool
    tags: Mapping[str, str]
    """Of instances and their volumes. A launch repeats them, because its own tags replace the template's."""
    log_group: str
    instances: int = 1
    """The most that train one job together."""


@dataclass(frozen=True, kw_only=True)
class EndpointOutputs:
    """The stack's endpoint. `instance_id` for kind `instance`; the last three for kind `autoscaled`."""

    kind: str
    channel: str
    url: str
    port: int
    log_group: str
    api_keys: str = "open"
    """`required` or `open`"""
    instance_id: str | None = None
    autoscaling_group: str | None = None
    target_group: str | None = None
    load_balancer: str | None = None
    load_balancer_name: str | None = None
    """The load balancer's own DNS name, to which the host name that clients call resolves."""


@dataclass(frozen=True, kw_only=True)
class PipelineOutputs:
    """The state machines of the stack that owns the platform: ARNs of their aliases, which are what is started."""

    job: str
    pipeline: str
    start: str
    janitor: str
    log_group: str


@dataclass(frozen=True, kw_only=True)
class StackOutputs:
    """Everything that the program exports; both stacks export the same keys."""

    stack: str
    region: str
    model: str
    model_store: str
    data_lake: str
    workspace: str
    encryption_key: str
    signing_key: str
    code_bundle: str
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    channels: Mapping[str, ChannelPolicy] = field(default_factory=dict[str, ChannelPolicy])
    """The channels that the owner of the registry declares; of any other, `registry.channel_policy.STRICT` is true."""
    certificate_days: int = LONGEST_DAYS
    """The longest that a certificate may be valid, as the owner of the registry declares it."""
    gates: StackGates = field(default_factory=StackGates)
    """What photos and models must show, and how models are tested, as the owner of the registry declares it."""
    training: TrainingOutputs
    endpoint: EndpointOutputs
    pipeline: PipelineOutputs | None = None
    """None where it was deployed before there was one."""


def parse(stack: str, outputs: Mapping[str, Any]) -> StackOutputs:
    """Read the outputs of `stack`; raises `StackOutdated` naming what is missing."""
    try:
        training, endpoint = outputs["training"], outputs["endpoint"]
        return StackOutputs(
            stack=stack,
            region=outputs["region"],
            model=outputs["model"],
            model_store=outputs["model_store"],
            data_lake=outputs["data_lake"],
            workspace=outputs["workspace"],
            encryption_key=outputs["encryption_key"],
            signing_key=outputs["signing_key"],
            code_bundle=outputs["code_bundle"],
            roles=dict(outputs["roles"]),
            channels={name: ChannelPolicy.from_dict(policy) for name, policy in outputs["channels"].items()},
            certificate_days=int(outputs.get("certificate_days", LONGEST_DAYS)),
            gates=StackGates.from_dict(outputs["gates"]),
            training=TrainingOutputs(
                launch_template=training["launch_template"],
                subnets=dict(training["subnets"]),
                instance_types=tuple(training["instance_types"]),
                spot=training["spot"],
                tags=dict(training["tags"]),
                log_group=training["log_group"],
                instances=int(training.get("instances", 1)),
            ),
            endpoint=EndpointOutputs(
                kind=endpoint["kind"],
                channel=endpoint["channel"],
                url=endpoint["url"],
                port=int(endpoint["port"]),  # Pulumi carries numbers as floats
                log_group=endpoint["log_group"],
                api_keys=endpoint.get("api_keys", "open"),
                instance_id=endpoint.get("instance_id"),
                autoscaling_group=endpoint.get("autoscaling_group"),
                target_group=endpoint.get("target_group"),
                load_balancer=endpoint.get("load_balancer"),
                load_balancer_name=endpoint.get("load_balancer_name"),
            ),
            pipeline=_pipeline(outputs.get("pipeline")),
        )
    except KeyError as missing:
        raise StackOutdated(
            f"Stack {stack} has no output {missing}; it was deployed by another version of this program.",
            next_step=f"pulumi up --stack {stack}",
        ) from None
    except (ChannelPolicyInvalid, GatesInvalid) as problem:
        said = "'channels' with a policy" if isinstance(problem, ChannelPolicyInvalid) else "'gates' with something"
        raise StackOutdated(
            f"Stack {stack} has an output {said} that cannot be used: {problem}; it was deployed by another version "
            f"of this program.",
            next_step=f"pulumi up --stack {stack}",
        ) from None


def _pipeline(found: Mapping[str, Any] | None) -> PipelineOutputs | None:
    if not found:
        return None
    return PipelineOutputs(
        job=found["job"],
        pipeline=found["pipeline"],
        start=found["start"],
        janitor=found["janitor"],
        log_group=found["log_group"],
    )
