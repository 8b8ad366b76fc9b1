"""What answers after `pulumi up`: instances that AWS rolled back, or that never came, are found."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petpark.delivery import read_back
from petpark.delivery.read_back import State, judge_group
from petpark.endpoints import endpoint_status
from petpark.endpoints.endpoint_status import Answer, Verdict
from petpark.errors import NotAsDeployed

DONE = ("Successful", "Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed")
RUNNING = ("Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking")


def group(*versions: str, launches: str = "2", least: int = 1, state: str = "InService") -> dict[str, Any]:
    return {
        "LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": launches},
        "MinSize": least,
        "Instances": [
            {"InstanceId": f"i-{number}", "LifecycleState": state, "LaunchTemplate": {"Version": version}}
            for number, version in enumerate(versions)
        ],
    }


def refresh(status: str) -> dict[str, Any]:
    return {"Status": status, "StatusReason": "the instances were not healthy"}


def test_a_group_of_new_instances_is_as_declared() -> None:
    for last in (None, refresh("Successful"), refresh("Failed")):
        assert judge_group(group("2", "2"), newest="2", refresh=last).state is State.FINE


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "RollbackSuccessful", "RollbackFailed"])
def test_a_refresh_that_did_not_end_well_and_left_old_instances_is_wrong(status: str) -> None:
    seen = judge_group(group("1", "2"), newest="2", refresh=refresh(status))
    assert seen.state is State.WRONG
    assert "i-0 runs version 1 of its template, declared is 2" in seen.found
    assert "the instances were not healthy" in seen.found


def test_a_silent_rollback_is_named_though_all_instances_are_alike() -> None:
    """AWS set the group back to the earlier version, and every instance runs that one."""
    seen = judge_group(group("1", "1", launches="1"), newest="2", refresh=refresh("RollbackSuccessful"))
    assert seen.state is State.WRONG
    assert "AWS rolled it back" in seen.found


@pytest.mark.parametrize("status", RUNNING)
def test_a_refresh_under_way_is_waited_for(status: str) -> None:
    assert judge_group(group("1", launches="1"), newest="2", refresh=refresh(status)).state is State.WAITING


@given(
    st.lists(st.sampled_from(["1", "2"]), max_size=4),
    st.sampled_from(["1", "2"]),
    st.none() | st.sampled_from((*DONE, *RUNNING)),
    st.integers(0, 3),
    st.sampled_from(["InService", "Pending", "Terminating"]),
)
def test_nothing_is_fine_unless_enough_instances_in_service_run_the_newest_version(
    versions: list[str], launches: str, status: str | None, least: int, state: str
) -> None:
    made = group(*versions, launches=launches, least=least, state=state)
    seen = judge_group(made, newest="2", refresh=None if status is None else refresh(status))
    serving = sum(state == "InService" for _ in versions)
    if seen.state is State.FINE:
        assert set(versions) <= {"2"}
        assert launches == "2"
        assert serving >= least
        assert status not in RUNNING


class Cloud:
    """A stack whose AWS answers as it is told, one answer after the other; the last one stays."""

    def __init__(self, **endpoint: Any) -> None:
        given_ = {"log_group": "/petpark/prod/endpoint", "instance_id": None, "autoscaling_group": None}
        self.outputs = SimpleNamespace(
            stack="prod", endpoint=SimpleNamespace(**{**given_, "target_group": None, **endpoint})
        )
        self.groups: list[dict[str, Any]] = [group("2")]
        self.health = ["healthy"]
        self.machine = "running"
        self.lines: list[list[str]] = [[]]
        self.slept: list[float] = []
        self.exceptions = SimpleNamespace(ResourceNotFoundException=KeyError)

    def client(self, _service: str) -> Any:
        return self

    def describe_auto_scaling_groups(self, **_: Any) -> Any:
        return {"AutoScalingGroups": [self.groups[0] if len(self.groups) == 1 else self.groups.pop(0)]}

    def describe_launch_templates(self, **_: Any) -> Any:
        return {"LaunchTemplates": [{"LatestVersionNumber": 2}]}

    def describe_instance_refreshes(self, **_: Any) -> Any:
        return {"InstanceRefreshes": []}

    def describe_target_health(self, **_: Any) -> Any:
        return {"TargetHealthDescriptions": [{"TargetHealth": {"State": state}} for state in self.health]}

    def describe_instances(self, **_: Any) -> Any:
        return {"Reservations": [{"Instances": [{"State": {"Name": self.machine}}]}]}

    def get_log_events(self, **_: Any) -> Any:
        lines = self.lines[0] if len(self.lines) == 1 else self.lines.pop(0)
        return {"events": [{"message": line} for line in lines]}

    def read(self, timeout: float = 60.0) -> Any:
        def now() -> float:
            return sum(self.slept)

        target: Any = self
        return read_back.read_back(target, timeout=timeout, monotonic=now, sleep=self.slept.append)


AUTOSCALED = {"autoscaling_group": "g", "target_group": "t"}


def answers(monkeypatch: pytest.MonkeyPatch, *verdicts: Verdict, wanted: int | None = 3) -> None:
    """What the endpoint itself says; the last one stays."""
    left = list(verdicts)

    def status(_target: Any) -> list[Answer]:
        verdict = left[0] if len(left) == 1 else left.pop(0)
        facts: dict[str, Any] = {"stack": "prod", "where": "load balancer", "url": "", "channel": "prod"}
        facts |= {"wanted_digest": None, "digest": None, "entry": None, "reason": "because"}
        return [Answer(**facts, wanted=wanted, version=wanted, verdict=verdict)]

    monkeypatch.setattr(endpoint_status, "status", status)


def test_new_instances_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, Verdict.DIFFERS, Verdict.SERVES)
    cloud = Cloud(**AUTOSCALED)
    cloud.groups = [group("1"), group("1", "2"), group("2")]
    assert {each.state for each in cloud.read()} == {State.FINE}
    assert len(cloud.slept) == 2


def test_what_never_comes_is_named_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, Verdict.SERVES)
    cloud = Cloud(**AUTOSCALED)
    cloud.health = ["healthy", "unhealthy"]
    with pytest.raises(NotAsDeployed, match="1 healthy, 1 unhealthy"):
        cloud.read(timeout=35.0)
    assert sum(cloud.slept) == 35.0


def test_what_is_wrong_for_good_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, Verdict.SERVES)
    cloud = Cloud(**AUTOSCALED)
    cloud.groups = [group("1", launches="1")]
    with pytest.raises(NotAsDeployed, match="launches version 1"):
        cloud.read()
    assert cloud.slept == []


def test_a_first_deployment_has_no_healthy_instance_and_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, Verdict.EMPTY, wanted=None)
    cloud = Cloud(**AUTOSCALED)
    cloud.health = ["unhealthy"]
    assert {each.state for each in cloud.read()} == {State.FINE}


def test_an_endpoint_that_cannot_be_reached_from_here_is_judged_by_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, Verdict.SILENT)
    seen = Cloud(**AUTOSCALED).read()
    assert "cannot be reached from here" in seen[0].found


def test_a_single_instance_says_in_its_log_that_it_is_in_service(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, Verdict.SILENT)
    cloud = Cloud(instance_id="i-1")
    state = {"message": "state", "in_service": 0}
    cloud.lines = [[], ["no JSON"], [json.dumps(state)], [json.dumps({**state, "in_service": 1}), "later"]]
    assert {each.state for each in cloud.read()} == {State.FINE}
    assert len(cloud.slept) == 3


def test_an_instance_that_is_gone_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, Verdict.SILENT)
    cloud = Cloud(instance_id="i-1")
    cloud.machine = "terminated"
    with pytest.raises(NotAsDeployed, match="terminated"):
        cloud.read()
