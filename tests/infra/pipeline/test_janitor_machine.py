"""The state machine `janitor` in the interpreter."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from infra.pipeline.janitor import janitor_machine
from infra.pipeline.janitor.janitor_machine import JanitorFacts
from infra.pipeline.job.facts import END_SECONDS
from tests.infra.pipeline.asl_interpreter import Refused, run

JOBS: Final = "arn:aws:states:eu-west-1:000000000000:stateMachine:job"
FACTS: Final = JanitorFacts(
    stack="test", workspace="workspace", job=f"{JOBS}:live", boot_seconds=1200, namespace="petpark"
)
MONTH: Final = "spending/2026-11/"
_FACTS: Final = {"StateMachineArn": JOBS, "StartDate": "2026-11-30T14:00:00.000Z"}


class Instances:
    """Instances by id: seconds until the deadline, and the status of the execution that waits for it."""

    def __init__(self, **instances: tuple[int, str]) -> None:
        self.live, self.published = instances, list[Mapping[str, Any]]()
        self.clock = time.time

    def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
        if state == "ListReservations":
            return {"IsTruncated": False}
        if state == "ListInstances":
            assert {each["Name"]: each["Values"] for each in arguments["Filters"]} == {
                "tag-key": ["petpark:execution"],
                "tag:petpark:stack": [FACTS.stack],
                "instance-state-name": ["pending", "running", "stopping", "stopped"],
            }
            after = arguments.get("NextToken", "")
            later = [name for name in sorted(self.live) if name > after]
            answer = {"Reservations": [{"Instances": [self._described(name)]} for name in later[:2]]}
            return answer | ({"NextToken": later[1]} if len(later) > 2 else {"NextToken": None})
        if state == "DescribeExecution":
            status = self.live[arguments["ExecutionArn"]][1]
            if status == "GONE":
                raise Refused("Sfn.ExecutionDoesNotExistException")
            if status == "SILENT":
                raise Refused("Sfn.SfnException")
            return {"ExecutionArn": arguments["ExecutionArn"], **_FACTS, "Status": status}
        if state == "ListSpending":
            assert arguments["Prefix"] == MONTH
            keys = [f"{MONTH}a.{number}/paid/{micros}" for number, micros in enumerate((1_000_000, 2_250_000))]
            page = [key for key in keys if key > arguments["StartAfter"]][:1]
            return {"Contents": [{"Key": key} for key in page], "IsTruncated": page == keys[:1]}
        if state == "PublishSpending":
            self.published.append(arguments)
            return {}
        assert state == "TerminateInstance"
        for name in arguments["InstanceIds"]:
            del self.live[name]
        return {}

    def _described(self, name: str) -> Mapping[str, Any]:
        deadline = str(int(self.clock()) + self.live[name][0])
        tags = {"petpark:deadline": deadline, "petpark:execution": name, "petpark:stack": "test"}
        return {"InstanceId": name, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def test_the_janitor_terminates_only_instances_past_their_deadline_or_without_an_execution():
    instances = Instances(
        a=(600, "RUNNING"), b=(-1, "RUNNING"), c=(600, "ABORTED"), d=(600, "GONE"), e=(600, "SILENT"), f=(600, "FAILED")
    )
    end = run(janitor_machine.definition(FACTS), {}, instances, machine="janitor")
    assert end.status == "SUCCEEDED", end
    assert set(instances.live) == {"a", "e"}
    assert instances.published == [
        {"Namespace": "petpark", "MetricData": [{"MetricName": "test-spending-usd", "Value": 3.25}]}
    ]
    assert run(janitor_machine.definition(FACTS), {}, Instances()).status == "SUCCEEDED"


def test_the_janitor_counts_what_it_looked_at_and_names_only_what_it_really_terminated():
    class Refusing(Instances):
        def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
            if state == "TerminateInstance" and arguments["InstanceIds"] == ["c"]:
                raise Refused("Ec2.Ec2Exception")
            return super().__call__(state, arguments)

    instances = Refusing(a=(600, "RUNNING"), b=(-1, "RUNNING"), c=(-1, "RUNNING"))
    end = run(janitor_machine.definition(FACTS), {}, instances, machine="janitor")
    assert end.status == "SUCCEEDED", end
    assert end.output == {"checked": 3, "terminated": ["b"], "closed": []}
    assert set(instances.live) == {"a", "c"}


class Spending:
    """Spending of the month, and the executions by name: their status, and seconds since the launch, None: none."""

    def __init__(self, executions: Mapping[str, tuple[str, int | None]], *keys: str) -> None:
        self.executions, self.keys = executions, {*keys}
        self.clock = time.time

    def __call__(self, state: str, arguments: Mapping[str, Any]) -> Any:
        match state:
            case "ListInstances":
                return {"Reservations": []}
            case "ListReservations":
                later = sorted(key for key in self.keys if key > arguments["StartAfter"])
                page = {"Contents": [{"Key": key} for key in later[:2]]} if later else {}
                return page | {"IsTruncated": len(later) > 2}
            case "DescribeJob":
                prefix, _, name = arguments["ExecutionArn"].rpartition(":")
                assert prefix == JOBS.replace(":stateMachine:", ":execution:")
                if name not in self.executions:
                    raise Refused("Sfn.ExecutionDoesNotExistException")
                given = {"job": "train-1", "max_seconds": 3600}
                return {
                    "ExecutionArn": arguments["ExecutionArn"],
                    **_FACTS,
                    "Status": self.executions[name][0],
                    "Input": json.dumps(given),
                }
            case "ReadLaunch":
                assert arguments["Key"].startswith("jobs/train-1/attempts/")
                since = self.executions[arguments["Key"].split("/")[3].rpartition(".")[0]][1]
                if since is None:
                    raise Refused("S3.NoSuchKeyException")
                return {
                    "LastModified": (datetime.fromtimestamp(self.clock(), UTC) - timedelta(seconds=since)).isoformat()
                }
            case "RecordCost":
                self.keys.add(arguments["Key"])
            case "DeleteReservation":
                self.keys.remove(arguments["Key"])
            case "ListSpending":
                return {"IsTruncated": False}
            case "PublishSpending":
                pass
            case _:
                raise AssertionError(state)
        return {}


def run_janitor(spending: Spending) -> list[str]:
    """Run the janitor; returns the attempts whose reservations it closed."""
    end = run(janitor_machine.definition(FACTS), {}, spending, machine="janitor")
    assert end.status == "SUCCEEDED", end
    return end.output["closed"]


def test_the_reservation_of_a_stopped_job_is_replaced_by_its_cost():
    seconds = FACTS.boot_seconds + END_SECONDS + 3600
    spending = Spending(
        {"a": ("RUNNING", 60), "b": ("ABORTED", seconds // 2), "c": ("ABORTED", None), "d": ("FAILED", 10 * seconds)},
        *(f"{MONTH}{name}.1/reserved/1000" for name in "abcde"),
        f"{MONTH}b.1/paid/7",
    )
    assert run_janitor(spending) == ["b.1", "c.1", "d.1"]
    assert {key.removeprefix(MONTH) for key in spending.keys} >= {
        *("a.1/reserved/1000", "e.1/reserved/1000"),
        *("c.1/paid/0", "d.1/paid/1000"),
    }
    (half,) = {int(key.split("/")[-1]) for key in spending.keys if key.startswith(f"{MONTH}b.1/paid/")} - {7}
    assert 500 <= half <= 510
    assert run_janitor(spending) == [], "nothing is left to settle"


@given(st.sets(st.from_regex(r"[a-z]{1,3}-[0-9]{1,2}", fullmatch=True), max_size=6), st.booleans())
def test_reservations_of_a_running_job_are_kept(names: set[str], ended: bool):
    keys = {f"{MONTH}{name}.{number}/reserved/5" for number, name in enumerate(sorted(names), start=1)}
    spending = Spending(dict.fromkeys(names, ("ABORTED" if ended else "RUNNING", None)), *keys)
    closed = run_janitor(spending)
    assert len(closed) == (len(names) if ended else 0)
    assert (spending.keys == keys) is (not ended or not keys)
