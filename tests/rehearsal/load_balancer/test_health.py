from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rehearsal.load_balancer.member import Member
from rehearsal.load_balancer.routes import HealthCheck, Target, TargetGroup


def check(**changes: Any) -> HealthCheck:
    settings: dict[str, Any] = {
        "path": "/",
        "port": None,
        "interval_seconds": 1.0,
        "timeout_seconds": 1.0,
        "healthy_threshold": 3,
        "unhealthy_threshold": 2,
        "codes": "200",
    }
    return HealthCheck(**settings | changes)


def member(settings: HealthCheck) -> Member:
    target = Target(group="g", id="i-1", port=80)
    group = TargetGroup(arn="g", weight=1, health_check=settings, deregistration_seconds=1, targets=[target])
    return Member(target, group, lambda _: "127.0.0.1")


@given(st.integers(100, 599))
def test_a_matcher_accepts_what_it_lists(status: int) -> None:
    assert check(codes="200-299").accepts(status) == (200 <= status <= 299)
    assert check(codes="200,204").accepts(status) == (status in {200, 204})


def test_one_good_check_makes_a_new_target_healthy() -> None:
    new = member(check())
    new.record(well=True)
    assert new.health == "healthy"


@given(st.lists(st.booleans()), st.integers(1, 4), st.integers(1, 4))
def test_health_changes_only_after_a_whole_streak(checks: list[bool], healthy: int, unhealthy: int) -> None:
    target = member(check(healthy_threshold=healthy, unhealthy_threshold=unhealthy))
    for number, well in enumerate(checks):
        before = target.health
        target.record(well=well)
        if target.health != before and before != "initial":
            needed = healthy if well else unhealthy
            assert checks[number + 1 - needed : number + 1] == [well] * needed


@given(st.integers(1, 10), st.integers(1, 10))
def test_health_changes_with_the_check_that_completes_the_streak(healthy: int, unhealthy: int) -> None:
    target = member(check(healthy_threshold=healthy, unhealthy_threshold=unhealthy))
    target.record(well=True)
    for well, needed, then in ((False, unhealthy, "unhealthy"), (True, healthy, "healthy")):
        before = target.health
        seen = []
        for _ in range(needed):
            target.record(well=well)
            seen.append(target.health)
        assert seen == [before] * (needed - 1) + [then]


@given(st.lists(st.booleans(), min_size=1))
def test_a_draining_target_stays_so(checks: list[bool]) -> None:
    target = member(check())
    target.health = "draining"
    for well in checks:
        target.record(well=well)
    assert target.health == "draining"
