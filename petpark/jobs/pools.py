"""Where an instance can come from, in which order, and what EC2's error codes say about the rest. Pure.

A pool is one instance type in one zone: capacity and prices are those of a pool, quotas those of a family of types in
the whole region. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html says what codes mean.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from types import MappingProxyType


class Scope(StrEnum):
    """What an error is about, and so which pools are no longer worth trying."""

    POOL = "pool"
    """This type in this zone, now: another zone or another type may have capacity."""
    ZONE = "zone"
    """The subnet's addresses or the zone's volumes: no type can start there."""
    QUOTA = "quota"
    """The account's quota of vCPUs for a family of types in the whole region: only smaller types may fit."""


SCOPES: Mapping[str, Scope] = MappingProxyType(
    {
        "InsufficientInstanceCapacity": Scope.POOL,
        "InsufficientCapacity": Scope.POOL,
        "InsufficientHostCapacity": Scope.POOL,
        "SpotMaxPriceTooLow": Scope.POOL,
        # "Your requested instance type is not supported in your requested Availability Zone."
        "Unsupported": Scope.POOL,
        "InsufficientFreeAddressesInSubnet": Scope.ZONE,
        "InsufficientVolumeCapacity": Scope.ZONE,
        "VcpuLimitExceeded": Scope.QUOTA,
        "InstanceLimitExceeded": Scope.QUOTA,
        "MaxSpotInstanceCountExceeded": Scope.QUOTA,
    }
)
"""Errors after which another pool may succeed; all others end a launch."""

# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html: by the letters of the family.
_STANDARD = frozenset("acdhimrtz")
_QUOTAS: Mapping[str, str] = MappingProxyType({"g": "G and VT", "gr": "G and VT", "vt": "G and VT", "p": "P"})


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One instance type in one zone."""

    instance_type: str
    zone: str
    subnet: str

    @property
    def family(self) -> str:
        """The letters that quotas go by: `g` of g5.xlarge."""
        name = self.instance_type.partition(".")[0]
        return name[: next((place for place, letter in enumerate(name) if not letter.isalpha()), len(name))]


def pools(instance_types: Sequence[str], subnets: Mapping[str, str]) -> tuple[Pool, ...]:
    """Every pool, in order of preference: all zones of a type before the next type."""
    return tuple(
        Pool(instance_type=instance_type, zone=zone, subnet=subnets[zone])
        for instance_type in instance_types
        for zone in sorted(subnets)
    )


def worth_asking(left: Iterable[Pool], refused: Pool, scope: Scope) -> tuple[Pool, ...]:
    """Those of the remaining pools that may succeed although one refused."""
    match scope:
        case Scope.POOL:
            return tuple(left)
        case Scope.ZONE:
            return tuple(pool for pool in left if pool.zone != refused.zone)
        case Scope.QUOTA:
            return tuple(
                pool for pool in left if quota(pool) != quota(refused) or vcpus(pool, unknown=inf) < vcpus(refused)
            )


def quota(pool: Pool) -> str:
    """The group of families that share a quota with this pool, as Service Quotas calls it."""
    return "Standard (A, C, D, H, I, M, R, T, Z)" if pool.family in _STANDARD else _QUOTAS.get(pool.family, pool.family)


def vcpus(pool: Pool, *, unknown: float = 0) -> float:
    """How many vCPUs a type's size stands for; `unknown` for sizes that do not say, such as `metal`."""
    size = pool.instance_type.partition(".")[2]
    if size == "large":
        return 2
    times = size.removesuffix("xlarge") if size.endswith("xlarge") else "?"
    return 4 * int(times or 1) if (times or "1").isdecimal() else unknown


def quota_name(pool: Pool, *, spot: bool) -> str:
    """The quota that a pool counts against, as the console of Service Quotas shows it."""
    if spot and pool.family == "p":
        return "one of the P Spot Instance Requests"  # P4 and older have one, P5 has another
    group = quota(pool).upper() if pool.family not in _STANDARD and pool.family not in _QUOTAS else quota(pool)
    return f"All {group} Spot Instance Requests" if spot else f"Running On-Demand {group} instances"
