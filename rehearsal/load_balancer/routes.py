"""What the emulator declares about a load balancer, read into plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SLOWEST_INTERVAL_SECONDS = 1.0  # what takes AWS half a minute to notice, a rehearsal notices in seconds


class NotRehearsed(Exception):
    """The load balancer declares something that the rehearsal cannot do."""


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """The health check of a target group."""

    path: str
    port: int | None  # None: the target's own
    interval_seconds: float
    timeout_seconds: float
    healthy_threshold: int
    unhealthy_threshold: int
    codes: str  # "200", "200,204" or "200-299"

    def accepts(self, status: int) -> bool:
        """Whether an answer with this status is a healthy one."""
        ranges = (part.partition("-") for part in self.codes.split(","))
        return any(int(low) <= status <= int(high or low) for low, _, high in ranges)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A registered target."""

    group: str
    id: str
    port: int


@dataclass(frozen=True, kw_only=True)
class TargetGroup:
    """A target group that the listener forwards a share of its requests to."""

    arn: str
    weight: int
    health_check: HealthCheck
    deregistration_seconds: float
    targets: Sequence[Target]


def read_routes(elbv2: Any, load_balancer_arn: str) -> list[TargetGroup]:
    """The target groups behind the first listener that forwards. Raises `NotRehearsed`."""
    listeners = elbv2.describe_listeners(LoadBalancerArn=load_balancer_arn)["Listeners"]
    actions = [_forward(one["DefaultActions"]) for one in sorted(listeners, key=lambda one: one["Port"])]
    weights = next((weights for weights in actions if weights), None)
    if not weights:
        raise NotRehearsed(
            f"No listener of {load_balancer_arn} forwards by default: declare one whose default action forwards to a "
            "target group. Redirects, fixed responses and further rules are not rehearsed."
        )
    described = elbv2.describe_target_groups(TargetGroupArns=list(weights))["TargetGroups"]
    return [_target_group(elbv2, one, weights[one["TargetGroupArn"]]) for one in described]


def _forward(actions: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Weights by target group; empty when the listener does not forward."""
    forward = next((action for action in actions if action["Type"] == "forward"), {})
    groups = forward.get("ForwardConfig", {}).get("TargetGroups", [])
    if groups:
        return {group["TargetGroupArn"]: int(group.get("Weight", 1)) for group in groups}
    return {forward["TargetGroupArn"]: 1} if "TargetGroupArn" in forward else {}


def _target_group(elbv2: Any, described: dict[str, Any], weight: int) -> TargetGroup:
    arn = described["TargetGroupArn"]
    attributes = elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    delay = next((a["Value"] for a in attributes if a["Key"] == "deregistration_delay.timeout_seconds"), "300")
    registered = elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return TargetGroup(
        arn=arn,
        weight=weight,
        health_check=_health_check(described),
        deregistration_seconds=float(delay),
        targets=[
            Target(group=arn, id=one["Target"]["Id"], port=int(one["Target"].get("Port") or described["Port"]))
            for one in registered
        ],
    )


def _health_check(described: dict[str, Any]) -> HealthCheck:
    port = described.get("HealthCheckPort", "traffic-port")
    return HealthCheck(
        path=described.get("HealthCheckPath", "/"),
        port=int(port) if port.isdigit() else None,
        interval_seconds=min(float(described.get("HealthCheckIntervalSeconds", 30)), SLOWEST_INTERVAL_SECONDS),
        timeout_seconds=float(described.get("HealthCheckTimeoutSeconds", 5)),
        healthy_threshold=int(described.get("HealthyThresholdCount", 5)),
        unhealthy_threshold=int(described.get("UnhealthyThresholdCount", 2)),
        codes=described.get("Matcher", {}).get("HttpCode", "200"),
    )
