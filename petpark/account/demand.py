"""What a stack needs from an account, in numbers. Pure: settings in, figures out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.configuration.settings import StackSettings

_TYPE = re.compile(r"(?P<letters>[a-z]+)(?P<generation>\d+)")


@dataclass(frozen=True, kw_only=True)
class Quota:
    """A limit of Service Quotas."""

    service: str
    code: str
    name: str


# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
_STANDARD = frozenset("acdhimrtz")
_CLASSES: Mapping[tuple[str, bool], Quota] = MappingProxyType(
    {
        (group, spot): Quota(service="ec2", code=code, name=name)
        for group, spot, code, name in (
            ("standard", False, "L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
            ("standard", True, "L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"),
            ("g", False, "L-DB2E81BA", "Running On-Demand G and VT instances"),
            ("g", True, "L-3819A6DF", "All G and VT Spot Instance Requests"),
            ("p", False, "L-417A185B", "Running On-Demand P instances"),
            ("p", True, "L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests"),
            ("p5", True, "L-C4BD4855", "All P5 Spot Instance Requests"),
        )
    }
)

# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
VPCS = Quota(service="vpc", code="L-F678F1CE", name="VPCs per Region")
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
LOAD_BALANCERS = Quota(service="elasticloadbalancing", code="L-53DA6B97", name="Application Load Balancers per Region")


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The most instances that a stack runs, each of one of `types`, whichever is available."""

    purpose: str
    types: tuple[str, ...]
    spot: bool
    instances: int
    peak: int
    """The most at once while they are replaced: new ones start before the old ones end."""


def fleets(settings: "StackSettings") -> tuple[Fleet, ...]:
    """All instances that the stack needs; training only if the stack owns the platform."""
    endpoint = settings.endpoint
    most = endpoint.max_instances if endpoint.kind == "autoscaled" else 1
    serving = Fleet(purpose="endpoint", types=(endpoint.instance_type.name,), spot=False, instances=most, peak=2 * most)
    if settings.platform_stack is not None:
        return (serving,)
    training = settings.training
    jobs = Fleet(
        purpose="training",
        types=tuple(kind.name for kind in training.instance_types),
        spot=training.spot,
        instances=training.instances,
        peak=training.instances,
    )
    return (jobs, serving)


def vcpu_quota(type_: str, *, spot: bool) -> Quota | None:
    """The vCPU quota that an instance type counts against; None for a family that no entry here covers."""
    match = _TYPE.match(type_)
    if match is None:
        return None
    letters, generation = match["letters"], int(match["generation"])
    if letters in ("g", "gr", "vt"):
        return _CLASSES["g", spot]
    if letters == "p" and spot:
        return _CLASSES["p", True] if generation <= 4 else _CLASSES["p5", True] if generation == 5 else None
    if letters == "p":
        return _CLASSES["p", False]
    return _CLASSES["standard", spot] if letters[0] in _STANDARD and not letters.startswith(("inf", "hpc")) else None
