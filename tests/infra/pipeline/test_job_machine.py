"""The state machine `job` in the interpreter: every path."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.pipeline import job_machine
from infra.pipeline.job.facts import END_SECONDS
from tests.infra.pipeline import asl_interpreter
from tests.infra.pipeline.asl_interpreter import Refused
from tests.infra.pipeline.job_cloud import INPUT, JOB, USD, Cloud, facts, play


def test_a_job_is_launched_runs_and_leaves_nothing_behind():
    cloud = Cloud(None)
    end = play(cloud)
    assert end.status == "SUCCEEDED", end
    assert end.output["outcome"] == "published"
    assert end.output["version"] == 7
    assert cloud.live == set()
    assert cloud.spending() == {"paid": 1}
    order = cloud.objects[f"jobs/{JOB}/order.json"]
    assert order["inputs"] == INPUT["inputs"]
    assert order["requested_by"] == "arn:aws:iam::000000000000:role/job"
    assert cloud.objects[f"jobs/{JOB}/attempts/{JOB}.1/run.json"] == {"token": "a-token", "seconds": 600}


def test_a_launch_names_every_pool_and_tags_what_it_makes():
    cloud = Cloud(None)
    play(cloud, input_=INPUT | {"instances": 2})
    (asked,) = cloud.launches
    pools = asked["LaunchTemplateConfigs"][0]["Overrides"]
    assert [(each["InstanceType"], each["SubnetId"]) for each in pools] == [
        ("g5.xlarge", "subnet-a"),
        ("g5.xlarge", "subnet-b"),
        ("g6.xlarge", "subnet-a"),
        ("g6.xlarge", "subnet-b"),
    ]
    assert asked["SpotOptions"]["MinTargetCapacity"] == 2
    assert len(asked["ClientToken"]) <= 64
    tags = {each["Key"]: each["Value"] for each in asked["TagSpecifications"][0]["Tags"]}
    assert tags["petpark:job"] == JOB
    assert tags["petpark:attempt"] == f"{JOB}.1"
    assert tags["petpark:execution"].endswith(f":execution:job:{JOB}")
    assert int(tags["petpark:deadline"]) > 0


def test_the_worker_has_its_own_time_to_start_to_send_a_heartbeat_and_to_end():
    states = job_machine.definition(facts(boot_seconds=900, heartbeat_seconds=300))["States"]
    assert (states["Boot"]["HeartbeatSeconds"], states["Boot"]["TimeoutSeconds"]) == (900, 960)
    assert states["Run"]["HeartbeatSeconds"] == 300
    assert states["Run"]["TimeoutSeconds"] == f"{{% $seconds + {END_SECONDS} %}}"


def test_instances_of_an_attempt_are_ended_in_every_state_in_which_they_cost_or_may_start_again():
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html"""
    asked = job_machine.definition(facts())["States"]["FindInstances"]["Arguments"]["Filters"]
    assert {each["Name"]: each["Values"] for each in asked} == {
        "tag:petpark:attempt": ["{% $attempt %}"],
        "instance-state-name": ["pending", "running", "stopping", "stopped"],
    }


@pytest.mark.parametrize("unlisted", ["nothing", "refused"])
def test_instances_that_ec2_does_not_list_yet_are_ended_by_the_ids_of_their_launch(unlisted: str):
    """https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""

    class Lagging(Cloud):
        def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
            if state != "FindInstances":
                return super().__call__(state, arguments)
            if unlisted == "refused":
                raise Refused("Ec2.Ec2Exception")
            return {"Reservations": []}

    cloud = Lagging(None)
    end = play(cloud, input_=INPUT | {"instances": 2})
    assert (end.status, cloud.live) == ("SUCCEEDED", set()), end


def test_what_has_a_result_does_not_run_again():
    cloud = Cloud(stored={f"jobs/{JOB}/result.json": {"job": JOB, "status": "succeeded", "outcome": "published"}})
    end = play(cloud)
    assert end.status == "SUCCEEDED"
    assert cloud.launches == []
    assert end.output["usd"] == 0


def test_a_cancelled_job_stays_cancelled_and_a_failed_one_may_run_again():
    def before(status: str) -> Cloud:
        result = {"job": JOB, "status": status, "message": "wrong photos"}
        return Cloud(None, stored={f"jobs/{JOB}/result.json": result})

    cancelled = play(before("cancelled"))
    assert (cancelled.error, "wrong photos" in cancelled.cause) == ("Cancelled", True)
    assert play(before("failed")).status == "SUCCEEDED"


def test_a_cancelled_job_is_done_again_where_somebody_says_so():
    cloud = Cloud(
        None, stored={f"jobs/{JOB}/result.json": {"job": JOB, "status": "cancelled", "message": "by mistake"}}
    )
    assert play(cloud, input_={**INPUT, "again": True}).status == "SUCCEEDED"
    assert len(cloud.launches) == 1


@pytest.mark.parametrize(
    "cause", ["Interrupted", "States.HeartbeatTimeout", "States.HeartbeatTimeout of Boot", "States.Timeout of Boot"]
)
def test_an_interrupted_job_goes_on_in_another_pool(cause: str):
    cloud = Cloud(cause, cause, None)
    end = play(cloud)
    assert end.status == "SUCCEEDED", end
    assert len(cloud.launches) == 3
    first, second, _ = (each["LaunchTemplateConfigs"][0]["Overrides"][0] for each in cloud.launches)
    assert first != second
    assert cloud.live == set()
    assert cloud.spending() == {"paid": 3}


@pytest.mark.parametrize(
    ("error", "told"), [("CodeFailed", "CodeFailed"), ("TimedOut", "TimedOut"), ("States.Timeout", "TimedOut")]
)
def test_what_would_happen_again_is_not_tried_again(error: str, told: str):
    cloud = Cloud(error)
    end = play(cloud)
    assert (end.status, end.error) == ("FAILED", told)
    assert len(cloud.launches) == 1
    assert cloud.live == set()


def test_a_job_that_is_interrupted_too_often_ends_with_a_next_step():
    cloud = Cloud(*["Interrupted"] * 5)
    end = play(cloud, attempts=5, job_usd=50)
    assert end.error == "TooManyAttempts"
    assert "start it again" in end.cause
    assert len(cloud.launches) == 5


def test_without_spot_capacity_it_launches_on_demand_and_then_waits():
    cloud = Cloud(None, full=3)
    end = play(cloud)
    assert end.status == "SUCCEEDED"
    markets = [each["TargetCapacitySpecification"]["DefaultTargetCapacityType"] for each in cloud.launches]
    assert markets == ["spot", "on-demand", "spot", "on-demand"]
    assert len({each["ClientToken"] for each in cloud.launches}) == 4


@pytest.mark.parametrize("instances", [1, 2])
def test_an_attempt_costs_nothing_while_it_waits_for_capacity_and_then_each_instance(
    monkeypatch: pytest.MonkeyPatch, instances: int
):
    minutes = [0]
    functions = {**asl_interpreter.FUNCTIONS, "millis": lambda: minutes[0] * 60_000}
    monkeypatch.setattr(asl_interpreter, "FUNCTIONS", functions)

    class Full(Cloud):
        def _fleet(self, arguments: Mapping[str, Any]) -> Any:
            minutes[0] += 60
            return super()._fleet(arguments)

        def _work(self, state: str, arguments: Mapping[str, Any]) -> Any:
            minutes[0] += 15
            return super()._work(state, arguments)

    cloud = Full(None, full=3)
    end = play(cloud, input_=INPUT | {"instances": instances})
    assert (end.status, len(cloud.launches)) == ("SUCCEEDED", 4)
    assert end.output["usd"] == pytest.approx(instances * USD["g5.xlarge"] / 2)


def test_the_rest_of_the_budget_limits_the_time_of_the_next_attempt(monkeypatch: pytest.MonkeyPatch):
    minutes = [0]
    functions = {**asl_interpreter.FUNCTIONS, "millis": lambda: minutes[0] * 60_000}
    monkeypatch.setattr(asl_interpreter, "FUNCTIONS", functions)

    class Busy(Cloud):
        def _work(self, state: str, arguments: Mapping[str, Any]) -> Any:
            minutes[0] += 30
            return super()._work(state, arguments)

    def seconds(cloud: Cloud, attempt: int) -> int:
        return cloud.objects[f"jobs/{JOB}/attempts/{JOB}.{attempt}/run.json"]["seconds"]

    given = INPUT | {"max_seconds": 7200, "usd": 3.1}  # an attempt: 1.2 USD an hour for 2.5 hours, 3 USD at most
    cloud = Busy("Interrupted", None)
    assert play(cloud, input_=given).status == "SUCCEEDED"
    assert seconds(cloud, 1) == 7200
    # An hour cost 1.2 USD; 1.9 are left, for 5,700 s: 1,200 to boot, 600 to end, one for rounding.
    assert seconds(cloud, 2) == 3899
    last = Busy("Interrupted", "Interrupted", None)
    assert play(last, input_=given).error == "SpendCap", "0.7 USD are 2,100 s, and 600 s of work need 2,400"
    assert len(last.launches) == 2
    for error in ("States.Timeout", "SpendCap"):
        assert play(Busy("Interrupted", error), input_=given).error == "SpendCap"


def test_without_any_capacity_it_ends_and_frees_what_it_reserved():
    cloud = Cloud(None, full=99)
    end = play(cloud, capacity_tries=2)
    assert end.error == "NoCapacity"
    assert "InsufficientInstanceCapacity" in end.cause
    assert cloud.spending() == {}


def test_each_attempt_has_all_tries_for_capacity():
    class Crowded(Cloud):
        def _work(self, state: str, arguments: Mapping[str, Any]) -> Any:
            self.full = 2 if state == "Run" else 0  # once in both markets, before the next attempt
            return super()._work(state, arguments)

    cloud = Crowded("Interrupted", "Interrupted", None, full=2)
    assert play(cloud, capacity_tries=2, attempts=3).status == "SUCCEEDED"
    assert len({each["ClientToken"] for each in cloud.launches}) == len(cloud.launches) == 9


def test_a_refused_launch_ends_instances_whose_answer_was_lost():
    class Lost(Cloud):
        def _fleet(self, arguments: Mapping[str, Any]) -> Any:
            super()._fleet(arguments)
            raise Refused("Ec2.Ec2Exception", "connection lost")

    cloud = Lost(None)
    end = play(cloud)
    assert end.error == "LaunchFailed"
    assert cloud.live == set()


def test_nothing_is_launched_beyond_the_jobs_cap_or_the_months():
    cloud = Cloud(None)
    assert play(cloud, input_=INPUT | {"usd": 0.1}).error == "SpendCap"
    assert cloud.launches == []
    month = {f"spending/2026-11/other.{number}/paid/100000000": {} for number in range(3)}
    cloud = Cloud(None, stored=month)
    end = play(cloud)
    assert end.error == "SpendCap"
    assert cloud.launches == []
    assert cloud.spending() == {"paid": 3}


def test_a_cap_of_exactly_the_price_is_enough_and_a_millionth_less_is_not():
    """The dearest type costs 1.2 USD an hour, and an attempt is paid from the boot to the end."""
    seconds = 1200 + END_SECONDS + 600
    price = 1.2 * seconds / 3600
    assert play(Cloud(None), input_=INPUT | {"usd": price}).status == "SUCCEEDED"
    assert play(Cloud(None), input_=INPUT | {"usd": price - 2e-6}).error == "SpendCap"
    both = INPUT | {"instances": 2}
    assert play(Cloud(None), input_=both | {"usd": 2 * price}).status == "SUCCEEDED"
    assert play(Cloud(None), input_=both | {"usd": 2 * price - 2e-6}).error == "SpendCap"


def test_what_an_attempt_cost_counts_although_it_could_not_be_recorded(monkeypatch: pytest.MonkeyPatch):
    minutes = [0]
    functions = {**asl_interpreter.FUNCTIONS, "millis": lambda: minutes[0] * 60_000}
    monkeypatch.setattr(asl_interpreter, "FUNCTIONS", functions)

    class Forgetful(Cloud):
        def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
            if state == "RecordCost":
                raise Refused("S3.S3Exception")
            return super().__call__(state, arguments)

        def _work(self, state: str, arguments: Mapping[str, Any]) -> Any:
            minutes[0] += 30
            return super()._work(state, arguments)

    end = play(Forgetful(None))
    assert end.status == "SUCCEEDED", end
    assert end.output["usd"] > 0


@pytest.mark.parametrize(("more", "status"), [(0, "SUCCEEDED"), (1, "FAILED")])
def test_a_month_may_be_spent_to_its_last_millionth(more: int, status: str):
    reserved = math.ceil(1.2 * (1200 + END_SECONDS + 600) * 1_000_000 / 3600)
    spent = 10_000_000 - reserved + more
    cloud = Cloud(None, stored={f"spending/2026-11/other.1/paid/{spent}": {}})
    assert play(cloud, month_usd=10, job_usd=10).status == status
    assert cloud.spending() == {"paid": 2 - more}, "what was refused is not reserved any more"


@settings(max_examples=15)
@given(
    st.lists(st.sampled_from(["Interrupted", "States.HeartbeatTimeout", "States.Timeout of Boot"]), max_size=6),
    st.sampled_from([None, "CodeFailed", "TimedOut", "States.Timeout"]),
    st.integers(0, 5),
    st.integers(1, 6),
)
def test_whatever_happens_an_execution_ends_without_instances_and_reservations(
    before: list[str], last: str | None, full: int, attempts: int
):
    cloud = Cloud(*before, last, full=full)
    end = play(cloud, attempts=attempts, capacity_tries=2, job_usd=10)
    assert cloud.live == set()
    assert cloud.spending().get("reserved", 0) == 0
    assert len(cloud.launches) <= 4 * attempts
    if end.status == "SUCCEEDED":
        assert last is None
        assert f"jobs/{JOB}/result.json" in cloud.objects


@pytest.mark.parametrize(
    "wrong", [{"job": "Ä"}, {"machine": "huge"}, {"max_seconds": "60"}, {"inputs": None}, {"job": "a" * 65}]
)
def test_an_input_that_cannot_be_used_ends_with_a_sentence(wrong: Mapping[str, Any]):
    end = play(Cloud(), input_={**INPUT, **wrong})
    assert end.error == "InputInvalid"
    assert "needs job" in end.cause
