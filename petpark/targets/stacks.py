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
    """What training instances write, and how many train together."""

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
class PipelineLimits:
    """What a job may take and cost: `petpark:pipeline`, and list prices."""

    around_seconds: float
    """An attempt's most time besides its job's own limit: to boot and to end."""
    job_usd: float
    execution_usd: float
    usd_per_hour: Mapping[str, float]
    """Of the types that train, with disk and address."""

    def attempt_usd(self, max_seconds: float) -> float:
        """The most that one attempt of a job may cost, on the most expensive type."""
        return max(self.usd_per_hour.values()) * (self.around_seconds + max_seconds) / 3600


@dataclass(frozen=True, kw_only=True)
class PipelineOutputs:
    """The state machines of the stack that owns the platform: ARNs of their aliases, which are what is started."""

    job: str
    study: str
    pipeline: str
    start: str
    janitor: str
    log_group: str
    limits: PipelineLimits
    small_log_group: str = ""
    """Of the jobs on the machine `small`; empty in a stack that an earlier version of this program deployed."""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    """ARN of the version of each state machine that was deployed."""


@dataclass(frozen=True, kw_only=True)
class MetricOutputs:
    """A metric of CloudWatch."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class AvailabilityOutputs:
    """The availability objective in per cent, and what it is measured by: sums of `bad`, over all requests.

    All requests are those of `total`, and of `uncounted`: bad ones that `total` does not count.
    """

    objective: str
    bad: tuple[MetricOutputs, ...]
    uncounted: tuple[MetricOutputs, ...]
    total: MetricOutputs


@dataclass(frozen=True, kw_only=True)
class ListPrices:
    """What the stack costs at list prices: USD in 730 hours, of all but training, and of a stored GB.

    `prices_of` is the date of the oldest price.
    """

    month: float
    gb_month: float
    prices_of: str


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
    """None if it was deployed by a version without one, or before studies were executions."""
    availability: AvailabilityOutputs | None = None
    """None if it was deployed before it could say so, as `list_prices`."""
    list_prices: ListPrices | None = None


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
            availability=_availability(outputs.get("availability")),
            list_prices=_list_prices(outputs.get("list_prices")),
        )
    except KeyError as missing:
        raise StackOutdated(
            f"Stack {stack} has no output {missing}; it was deployed by another version of this program.",
            next_step=f"pulumi up --stack {stack}",
        ) from None
    except (ChannelPolicyInvalid, GatesInvalid) as problem:
        output = "'channels' with a policy" if isinstance(problem, ChannelPolicyInvalid) else "'gates' with something"
        raise StackOutdated(
            f"Stack {stack} has an output {output} that cannot be used: {problem}; it was deployed by another version "
            f"of this program.",
            next_step=f"pulumi up --stack {stack}",
        ) from None


def _pipeline(found: Mapping[str, Any] | None) -> PipelineOutputs | None:
    if not found or "study" not in found:
        return None
    limits = found["limits"]
    return PipelineOutputs(
        job=found["job"],
        study=found["study"],
        pipeline=found["pipeline"],
        start=found["start"],
        janitor=found["janitor"],
        log_group=found["log_group"],
        small_log_group=found.get("small_log_group", ""),
        versions=found.get("versions", {}),
        limits=PipelineLimits(
            around_seconds=limits["around_seconds"],
            job_usd=limits["job_usd"],
            execution_usd=limits["execution_usd"],
            usd_per_hour=dict(limits["usd_per_hour"]),
        ),
    )


def _availability(found: Mapping[str, Any] | None) -> AvailabilityOutputs | None:
    if not found:
        return None
    return AvailabilityOutputs(
        objective=str(found["objective"]),
        bad=tuple(map(_metric, found["bad"])),
        uncounted=tuple(map(_metric, found["uncounted"])),
        total=_metric(found["total"]),
    )


def _metric(found: Mapping[str, Any]) -> MetricOutputs:
    return MetricOutputs(namespace=found["namespace"], metric=found["metric"], dimensions=dict(found["dimensions"]))


def _list_prices(found: Mapping[str, Any] | None) -> ListPrices | None:
    if not found:
        return None
    month, stored = float(found["month"]), float(found["gb_month"])
    return ListPrices(month=month, gb_month=stored, prices_of=str(found["prices_of"]))
