"""Which pool is asked next, decided without a cloud."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from petpark.jobs.pools import SCOPES, Pool, Scope, pools, quota, quota_name, vcpus, worth_asking

TYPES = [
    "g5.xlarge",
    "g5.12xlarge",
    "g5g.metal",
    "g6.xlarge",
    "gr6.4xlarge",
    "p4d.24xlarge",
    "p5.48xlarge",
    "c7i.large",
    "m7i.xlarge",
    "x2idn.16xlarge",
]
ZONES = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]

wanted = st.lists(st.sampled_from(TYPES), min_size=1, unique=True)
zones = st.lists(st.sampled_from(ZONES), min_size=1, unique=True)
scopes = st.sampled_from(list(Scope))


def every(types: list[str], names: list[str]) -> tuple[Pool, ...]:
    return pools(types, {zone: f"subnet-{zone}" for zone in names})


@given(wanted, zones)
def test_every_type_is_asked_for_in_every_zone_before_the_next_type(types: list[str], names: list[str]) -> None:
    found = every(types, names)
    assert [(pool.instance_type, pool.zone) for pool in found] == [(t, z) for t in types for z in sorted(names)]
    assert all(pool.subnet == f"subnet-{pool.zone}" for pool in found)


@given(wanted, zones, st.lists(scopes, min_size=30, max_size=30))
def test_asking_ends_asks_no_pool_twice_and_none_that_a_refusal_spoke_for(
    types: list[str], names: list[str], answers: list[Scope]
) -> None:
    left, refused = every(types, names), list[tuple[Pool, Scope]]()
    while left:
        pool, *rest = left
        for before, scope in refused:
            assert pool != before
            assert scope is not Scope.ZONE or pool.zone != before.zone
            assert scope is not Scope.QUOTA or quota(pool) != quota(before) or vcpus(pool, unknown=inf) < vcpus(before)
        scope = answers[len(refused)]
        refused.append((pool, scope))
        left = worth_asking(rest, pool, scope)
        assert list(left) == [one for one in rest if one in left], "order is kept and nothing comes back"


@given(wanted, zones)
def test_a_pool_that_is_full_keeps_nobody_from_another(types: list[str], names: list[str]) -> None:
    first, *rest = every(types, names)
    assert list(worth_asking(rest, first, SCOPES["InsufficientInstanceCapacity"])) == rest


def test_quotas_are_named_as_service_quotas_names_them() -> None:
    def named(instance_type: str, *, spot: bool) -> str:
        return quota_name(Pool(instance_type=instance_type, zone="a", subnet="s"), spot=spot)

    assert named("g5.xlarge", spot=True) == "All G and VT Spot Instance Requests"
    assert named("gr6.4xlarge", spot=False) == "Running On-Demand G and VT instances"
    assert named("p5.48xlarge", spot=False) == "Running On-Demand P instances"
    assert named("m7i.large", spot=True) == "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"
    assert named("x2idn.16xlarge", spot=False) == "Running On-Demand X instances"


def test_a_smaller_type_may_fit_a_quota_that_a_larger_one_does_not() -> None:
    large, *rest = every(["g5.12xlarge", "g5.xlarge", "g6.12xlarge", "g5g.metal", "c7i.large"], ["eu-west-1a"])
    left = worth_asking(rest, large, Scope.QUOTA)
    assert [pool.instance_type for pool in left] == ["g5.xlarge", "c7i.large"]
    sizes = {size: vcpus(Pool(instance_type=f"m7i.{size}", zone="a", subnet="s")) for size in SIZES}
    assert sizes == SIZES


SIZES = {"large": 2, "xlarge": 4, "2xlarge": 8, "48xlarge": 192, "metal": 0, "medium": 0, "metal-24xl": 0}
