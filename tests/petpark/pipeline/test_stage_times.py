"""A pipeline's stages: time, work, overhead, money."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from petpark.pipeline.stage_times import rows, stage_times

BEGAN = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


class Events:
    """A history in the order in which it happened; `at` are seconds."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def add(self, at: float, previous: int, **details: Any) -> int:
        number = len(self.all) + 1
        moment = BEGAN + timedelta(seconds=at)
        self.all.append({"id": number, "previousEventId": previous, "timestamp": moment, **details})
        return number

    def begin(self, at: float, state: str, previous: int = 0) -> int:
        entered = self.add(at, previous, stateEnteredEventDetails={"name": state})
        return self.add(at, entered, taskScheduledEventDetails={"resource": "startExecution.sync:2"})

    def succeed(self, at: float, task: int, **output: Any) -> int:
        message = json.dumps({"Status": "SUCCEEDED", "Output": output})
        return self.add(at, task, taskSucceededEventDetails={"resource": "startExecution.sync:2", "output": message})


def test_a_stage_is_as_long_as_its_task_and_what_is_not_work_is_overhead():
    events = Events()
    check = events.succeed(40, events.begin(0, "CheckDataset"), seconds=30.5, usd=0.01)
    stored = events.succeed(42, events.begin(41, "Train", check), seconds=900.0, usd=0)
    lost = events.add(60, events.begin(50, "MoveTest", stored), taskFailedEventDetails={"error": "CodeFailed"})
    events.begin(70, "ReadBack", lost)
    found = stage_times(events.all)
    assert [(each.state, each.seconds, each.work, each.overhead, each.usd) for each in found] == [
        ("CheckDataset", 40, 30.5, 9.5, 0.01),
        ("Train", 1, 0, 1, 0),
        ("MoveTest", 10, None, None, None),
        ("ReadBack", None, None, None, None),
    ]
    assert list(rows(found)) == [
        ("CheckDataset", "40.0", "30.5", "9.5", "0.0100"),
        ("Train", "1.0", "0.0", "1.0", "0.0000"),
        ("MoveTest", "10.0", "", "", ""),
        ("ReadBack", "", "", "", ""),
        ("all", "51.0", "30.5", "10.5", "0.0100"),
    ]


def test_parallel_trials_are_distinguished_and_other_tasks_are_not_stages():
    events = Events()
    map_ = events.add(0, 0, stateEnteredEventDetails={"name": "Trials"})
    first, second = (events.begin(at, "Trial", map_) for at in (1, 2))
    events.succeed(10, second, seconds=5.0, usd=0.2)
    events.succeed(20, first, seconds=15.0, usd=0.4)
    mail = events.add(21, 0, stateEnteredEventDetails={"name": "AskForCertification"})
    sent = events.add(21, mail, taskScheduledEventDetails={"resource": "publish"})
    events.add(22, sent, taskSucceededEventDetails={"resource": "publish", "output": "{}"})
    assert [(each.seconds, each.overhead, each.usd) for each in stage_times(events.all)] == [(19, 4, 0.4), (8, 3, 0.2)]
