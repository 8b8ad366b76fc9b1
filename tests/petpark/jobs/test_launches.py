"""Launches against an EC2 that is full, forbids, forgets answers, and is asked by several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from petpark.errors import NoCapacity, QuotaReached
from petpark.jobs import launches, submission
from petpark.jobs.pools import SCOPES
from registry import layout
from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import ACCOUNT, FakeTarget, Place, outputs
from training.jobs.job import JobSpec, submit

BOB = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/bob"
POOLS = [(t, z) for t in ("g5.xlarge", "g6.xlarge") for z in ("eu-west-1a", "eu-west-1b")]
FULL = "InsufficientInstanceCapacity"


class Crash(Exception):
    """The launcher's process died."""


@dataclass
class Cloud:
    """EC2 as its documentation has it: a token that gave instances gives the same ones again, whatever else is asked.

    `answers` gives the next request's refusal, or "" for room; when it has ended there is room. `around` is called
    before and after each request, and may crash the caller or let somebody else launch.
    """

    answers: Iterable[str] = ()
    around: Callable[[str], None] = lambda _when: None
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    given: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = field(
        default_factory=dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]
    )
    ended: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.answers = iter(self.answers)

    def run_instances(self, **request: Any) -> Any:
        self.around("before")
        self.asked.append(request)
        token = request["ClientToken"]
        assert len(token) <= 64
        if token not in self.given:
            code = next(iter(self.answers), "")
            if code:
                raise ClientError({"Error": {"Code": code, "Message": "so EC2 says"}}, "RunInstances")
            start = 100 * len(self.given)
            machines = [
                {"InstanceId": f"i-{start + place}", "AmiLaunchIndex": place} for place in range(request["MinCount"])
            ]
            self.given[token] = request, machines[::-1]
        else:
            assert self.given[token][0] == request, "IdempotentParameterMismatch"
        self.around("after")
        return {"Instances": self.given[token][1]}

    def terminate_instances(self, **request: Any) -> None:
        self.ended += request["InstanceIds"]

    @property
    def alive(self) -> list[str]:
        started = [machine["InstanceId"] for _, machines in self.given.values() for machine in machines]
        return [instance for instance in started if instance not in self.ended]

    def pools(self) -> list[tuple[str, str]]:
        zones = {subnet: zone for zone, subnet in outputs()["training"]["subnets"].items()}
        return [(request["InstanceType"], zones[request["SubnetId"]]) for request in self.asked]


class CloudTarget(FakeTarget):
    def client(self, service: str, *, role: str | None = None) -> Any:
        return self._clients["cloud", None]


def target_of(cloud: Cloud, store: MemoryStore | None = None) -> CloudTarget:
    plain = Place().target()
    facts = {name: getattr(plain, name) for name in plain.__dataclass_fields__ if name != "_clients"}
    target = CloudTarget(**{name: value for name, value in facts.items() if not name.startswith("_")})
    target._clients["cloud", None] = cloud
    target.buckets["workspace"] = store or MemoryStore()
    return target


def job_on(target: FakeTarget, instances: int = 1) -> str:
    submit(target.buckets["workspace"], "j", JobSpec(dataset="d" * 64, seed=1, requested_by=BOB, instances=instances))
    return "j"


def test_the_first_pool_with_room_is_taken_and_each_answer_is_told_in_a_line() -> None:
    cloud, told = Cloud([FULL, "Unsupported", "SpotMaxPriceTooLow"]), list[str]()
    target = target_of(cloud)
    assert submission.launch(target, job_on(target), tell=told.append) == "i-0"
    assert cloud.pools() == POOLS
    assert told == [
        "no g5.xlarge (spot) in eu-west-1a: InsufficientInstanceCapacity",
        "no g5.xlarge (spot) in eu-west-1b: Unsupported",
        "no g6.xlarge (spot) in eu-west-1a: SpotMaxPriceTooLow",
        "i-0 is a g6.xlarge (spot) in eu-west-1b",
    ]
    kept = launches.attempts(target.buckets["workspace"], "j")
    assert [str(attempt) for attempt in kept] == told


def test_instances_that_train_together_are_asked_for_all_or_none_in_one_zone_at_a_time() -> None:
    cloud = Cloud([FULL])
    target = target_of(cloud)
    assert submission.launch(target, job_on(target, instances=3)) == "i-0", "the one that EC2 numbers first"
    assert [(request["MinCount"], request["MaxCount"]) for request in cloud.asked] == [(3, 3), (3, 3)]
    assert len(cloud.alive) == 3


def test_what_is_launched_bears_the_stacks_tags_too_which_a_requests_own_tags_replace() -> None:
    cloud = Cloud()
    target = target_of(cloud)
    submission.launch(target, job_on(target), token="study-000001")
    tags = {
        entry["ResourceType"]: {tag["Key"]: tag["Value"] for tag in entry["Tags"]}
        for entry in cloud.asked[0]["TagSpecifications"]
    }
    own = {layout.JOB_TAG: "j", layout.LAUNCH_TAG: "study-000001", "Name": "petpark-training-j"}
    assert tags == {"instance": {**target.outputs.training.tags, **own}, "volume": target.outputs.training.tags}


def test_spot_is_asked_for_where_the_stack_says_so_and_not_on_demand() -> None:
    cloud = Cloud()
    target = target_of(cloud)
    job = job_on(target)
    submission.launch(target, job)
    submission.launch(target, job, on_demand=True)
    spot, on_demand = cloud.asked
    assert spot["InstanceMarketOptions"]["MarketType"] == "spot"
    assert "InstanceMarketOptions" not in on_demand


def test_no_room_anywhere_is_an_outcome_that_says_how_to_go_on() -> None:
    cloud = Cloud([FULL] * 4)
    target = target_of(cloud)
    with pytest.raises(NoCapacity) as full:
        submission.launch(target, job_on(target, instances=2))
    assert type(full.value) is NoCapacity
    assert "No 2 instances could be started for job j" in full.value.message
    assert full.value.message.count("so EC2 says") == 4
    assert "petpark train --resume j --on-demand" in full.value.next_step
    assert "training_instance_types" in full.value.next_step


@pytest.mark.parametrize("code", ["MaxSpotInstanceCountExceeded", "VcpuLimitExceeded"])
def test_a_quota_is_named_and_asked_about_once(code: str) -> None:
    cloud = Cloud([code] * 9)
    target = target_of(cloud)
    with pytest.raises(QuotaReached, match="so EC2 says") as reached:
        submission.launch(target, job_on(target))
    assert len(cloud.asked) == 1, "g5 and g6 share the quota, and it holds in all zones"
    assert "'All G and VT Spot Instance Requests'" in reached.value.next_step
    assert "0 in new accounts" in reached.value.next_step


def test_a_subnet_without_addresses_is_left_for_all_types() -> None:
    cloud = Cloud(["InsufficientFreeAddressesInSubnet", FULL])
    target = target_of(cloud)
    submission.launch(target, job_on(target))
    assert cloud.pools() == [POOLS[0], POOLS[1], POOLS[3]]


@pytest.mark.parametrize(
    "code", ["AuthFailure.ServiceLinkedRoleCreationNotPermitted", "UnauthorizedOperation", "InvalidSubnetID.NotFound"]
)
def test_what_no_other_pool_would_answer_otherwise_ends_the_launch_at_once(code: str) -> None:
    cloud = Cloud([code])
    target = target_of(cloud)
    with pytest.raises(ClientError, match=code):
        submission.launch(target, job_on(target))
    assert len(cloud.asked) == 1
    assert launches.attempts(target.buckets["workspace"], "j") == [], "asked again, it may be permitted"


refusals = st.lists(st.sampled_from(["", FULL, *SCOPES]), max_size=8)


@given(refusals, st.integers(0, 12))
def test_a_launcher_that_dies_anywhere_and_begins_again_has_one_instance(answers: list[str], dies: int) -> None:
    """Whatever has room meanwhile: what a launch was refused it is not given later, so it never has two."""
    calls = iter(range(100))

    def around(_when: str) -> None:
        if next(calls) == dies:
            raise Crash

    class Dying(MemoryStore):
        def create(self, key: str, body: bytes) -> None:
            if key.startswith(layout.attempts_prefix("j")):
                around("before")
            super().create(key, body)
            if key.startswith(layout.attempts_prefix("j")):
                around("after")

    cloud = Cloud(answers, around)
    target = target_of(cloud, Dying())
    job = job_on(target)
    try:
        first = _launch(target, job)
    except Crash:
        first = None
    second, third = _launch(target, job), _launch(target, job)
    assert second == third
    assert first is None or first == second
    assert cloud.alive == ([] if second == "none" else [second])


@given(refusals, st.integers(0, 8), st.sampled_from(["before", "after"]))
def test_two_launchers_of_one_launch_come_to_the_same_instance(answers: list[str], turn: int, place: str) -> None:
    found: list[str] = []
    calls = iter(range(100))

    def around(when: str) -> None:
        if when == place and next(calls) == turn:
            cloud.around = lambda _when: None
            found.append(_launch(target, "j"))

    cloud = Cloud(answers, around)
    target = target_of(cloud)
    found.append(_launch(target, job_on(target)))
    assert len(set(found)) == 1
    assert cloud.alive == ([] if found[0] == "none" else [found[0]])


def _launch(target: FakeTarget, job: str) -> str:
    try:
        return submission.launch(target, job, token="study-000001")
    except NoCapacity:
        return "none"
