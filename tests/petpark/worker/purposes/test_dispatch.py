"""The purposes of small machines, against a registry in memory and endpoints on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from petpark.errors import StackNotDeployed
from petpark.worker.endings import Ending
from petpark.worker.order import Order, OrderMalformed, Purpose
from petpark.worker.purposes import dispatch
from petpark.worker.purposes.application_test import held_out, judge
from petpark.worker.purposes.dataset_checks import data_gates, needs_networks
from registry.channels.channel import Channel
from registry.channels.experiment import Experiments
from registry.channels.experiment_rule import Arm, Evidence, Pair
from registry.errors import DigestMismatch
from registry.gates import StackGates
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import Place, Run, Serve
from tests.petpark.worker.machine import JOB, order
from tests.training.photos import write_photos
from training.dataset.ingest import ingest
from training.errors import DatasetMissing, Interrupted, TookTooLong
from training.evaluation.acceptance import Claim, Share
from training.job import JobResult, find_result

type Publish = Callable[..., Version]
NO_GATES: dict[str, Any] = {"data": {}, "model": {}, "checks": {}}


class Worker:
    """Performs orders; its clock goes by what it waits."""

    def __init__(self, place: Place) -> None:
        self.place, self.store, self.at = place, MemoryStore(), 0.0
        self.on_pause: Callable[[], object] = lambda: None
        self.why: str | None = None

    def pause(self, seconds: float) -> None:
        self.at += seconds
        self.on_pause()

    def perform(self, purpose: str, *, max_seconds: int = 600, **inputs: Any) -> JobResult:
        self.ending = self.end(purpose, max_seconds=max_seconds, **inputs)
        result = find_result(self.store, JOB)
        assert result is not None
        assert self.ending.error is None
        return result

    def end(self, purpose: str, *, max_seconds: int = 600, **inputs: Any) -> Ending:
        written = json.dumps(order(purpose, max_seconds=max_seconds, **inputs)).encode()
        return dispatch.perform(
            Order.from_json(written),
            self.store,
            stop=lambda: self.why,
            stack="test",
            targets=lambda stack: self.place.target(stack=stack),
            pause=self.pause,
            clock=lambda: self.at,
        )


@pytest.fixture
def worker(place: Place) -> Worker:
    return Worker(place)


def head(place: Place, channel: str) -> int | None:
    entry = Channel(place.buckets["models"], "pets", channel).head()
    return None if entry is None else entry.version


def test_every_purpose_is_somebodys() -> None:
    assert {*dispatch.FUNCTIONS, Purpose.TRAIN, Purpose.TRIAL} == set(Purpose)


def test_a_job_without_time_begins_nothing(worker: Worker) -> None:
    worker.why = "spot notice: terminate"
    with pytest.raises(Interrupted, match="spot notice"):
        worker.end("report", kind="quality")


# dataset and report


@pytest.fixture
def dataset(place: Place, tmp_path: Path) -> str:
    lake = place.buckets.setdefault("lake", MemoryStore())
    return ingest(write_photos(tmp_path / "photos", per_class=24), lake, seed=1).sha256


def test_a_dataset_without_a_report_gets_one_and_passes(worker: Worker, dataset: str) -> None:
    result = worker.perform("dataset", dataset=dataset, gates=NO_GATES)
    assert (result.outcome, result.metrics["photos"]) == ("passed", 48)
    assert result.report == f"s3://lake/datasets/{dataset}.quality/000001.html"
    page = worker.place.buckets["lake"].get((result.report or "").removeprefix("s3://lake/"))
    assert page.startswith(b"<!doctype html>")


def test_a_dataset_that_fails_a_gate_is_refused_with_its_report(worker: Worker, run: Run, dataset: str) -> None:
    assert run("data", "report", dataset, "--skip-labels", "--gate", "unclear=1").exit_code == 0
    gates = {**NO_GATES, "data": {"unclear": 0.0}}
    result = worker.perform("dataset", dataset=dataset, gates=gates)
    assert result.outcome == "refused"
    assert "unclear" in (result.message or "")
    assert (result.report or "").endswith("000001.html"), "the report that is there is the one that counts"


@pytest.mark.parametrize(
    ("limits", "networks"),
    [({}, False), ({"label_noise": 1, "unlike": 1}, False), ({"label_noise": 1, "unlike": 0.05}, True)],
)
def test_photos_are_checked_by_networks_only_if_a_gate_needs_it(limits: dict[str, float], networks: bool) -> None:
    assert needs_networks(data_gates(StackGates.from_dict({**NO_GATES, "data": limits}))) is networks


def test_a_dataset_that_is_not_there_is_named(worker: Worker) -> None:
    with pytest.raises(DatasetMissing, match="e" * 12):
        worker.end("dataset", dataset="e" * 64, gates=NO_GATES)


@pytest.mark.parametrize(
    ("purpose", "inputs", "expected"),
    [
        ("dataset", {"dataset": "x", "gates": NO_GATES}, "field 'dataset' cannot be 'x'"),
        ("dataset", {"dataset": "d" * 64, "gates": {**NO_GATES, "data": {"cuteness": 1}}}, "cuteness is not a known"),
        ("report", {"kind": "horoscope"}, "invalid input kind: 'horoscope'; expected one of: quality"),
        ("move", {"version": 1}, "field 'digest' is missing"),
        (
            "canary",
            {"version": 1, "digest": f"sha256:{'a' * 64}", "channel": "prod", "stack": "prod", "mode": "x"},
            "x",
        ),
    ],
)
def test_a_wrong_input_is_named(worker: Worker, purpose: str, inputs: dict[str, Any], expected: str) -> None:
    with pytest.raises(OrderMalformed, match=f"{purpose}.*{expected}|{expected}"):
        worker.end(purpose, **inputs)


# move and read-back


def moving(version: Version, channel: str, **more: Any) -> dict[str, Any]:
    return {"version": version.number, "digest": version.digest, "channel": channel, "why": "pipeline p-1", **more}


def test_a_move_is_made_once(worker: Worker, place: Place, publish: Publish) -> None:
    version = publish()
    assert worker.perform("move", **moving(version, "test")).outcome == "moved"
    assert head(place, "test") == 1
    again = Worker(place)
    assert again.perform("move", **moving(version, "test")).outcome == "moved"
    assert len(Channel(place.buckets["models"], "pets", "test").history()) == 1


def test_a_channels_rule_refuses_with_what_to_do(worker: Worker, place: Place, publish: Publish) -> None:
    result = worker.perform("move", **moving(publish(), "prod"))
    assert (result.outcome, result.status, head(place, "prod")) == ("refused", "succeeded", None)
    assert "petpark certify" in (result.message or "")


def test_another_version_than_the_one_that_was_tested_is_not_moved(worker: Worker, publish: Publish) -> None:
    publish()
    with pytest.raises(DigestMismatch):
        worker.end("move", **moving(publish(), "test") | {"version": 1})


def serving(version: Version, instance: str = "i-1", **more: Any) -> dict[str, Any]:
    return {"version": version.number, "digest": version.digest, "instance": instance, "channel": "test", **more}


def test_reading_back_waits_until_the_endpoint_has_followed(
    worker: Worker, place: Place, publish: Publish, serve: Serve
) -> None:
    old, new = publish(), publish()
    answers = [serving(new), serving(old), serving(old)]
    place.urls["test"] = serve(lambda: answers.pop() if len(answers) > 1 else answers[0])
    result = worker.perform("read-back", version=2, digest=new.digest, stack="test")
    assert (result.outcome, worker.at > 0) == ("passed", True)


def test_a_stack_that_is_still_being_deployed_is_waited_for(
    worker: Worker, place: Place, publish: Publish, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = publish()
    place.urls["test"] = serve(serving(version))
    made, missing = place.target, [StackNotDeployed("not yet", next_step="pulumi up") for _ in range(3)]

    def target(**which: Any) -> Any:
        if missing:
            raise missing.pop()
        return made(**which)

    monkeypatch.setattr(Place, "target", lambda _self, **which: target(**which))
    result = worker.perform("read-back", version=1, digest=version.digest, stack="test")
    assert (result.outcome, worker.at > 0, missing) == ("passed", True, [])


def test_an_endpoint_that_does_not_follow_is_named_with_what_it_serves(
    worker: Worker, place: Place, publish: Publish, serve: Serve
) -> None:
    old, new = publish(), publish()
    place.urls["test"] = serve(serving(old))
    result = worker.perform("read-back", max_seconds=60, version=2, digest=new.digest, stack="test")
    assert result.outcome == "refused"
    assert f"i-1 serves version 1 ({old.digest})" in (result.message or "")
    assert 50 < worker.at < 60


def test_an_endpoint_that_is_silent_is_not_read_back(worker: Worker, place: Place, publish: Publish) -> None:
    version = publish()
    place.urls["test"] = "http://127.0.0.1:9"
    result = worker.perform("read-back", max_seconds=10, version=1, digest=version.digest, stack="test")
    assert result.outcome == "refused"
    assert "does not respond" in (result.message or "")


# application test


def share(right: int, photos: int) -> Share:
    return Share(column="", value="all", photos=photos, right=right)


def test_only_what_is_worse_beyond_luck_is_refused() -> None:
    claim = Claim(accuracy=0.9, interval=(0.85, 0.94), photos=200)
    assert judge(claim, share(90, 100)) == (False, "90 of 100 photos right; its report says 90.0% of 200")
    assert judge(claim, share(84, 100))[0] is False
    worse, message = judge(claim, share(60, 100))
    assert worse
    assert "at least" in message
    assert judge(None, share(1, 100))[0] is False


def test_photos_that_no_training_saw_are_thinned_evenly(place: Place, dataset: str, monkeypatch: Any) -> None:
    every = held_out(place.target(), dataset)
    assert every
    assert all(photo.split == "test" and body for photo, body in every)
    monkeypatch.setattr("petpark.worker.purposes.application_test.MOST_PHOTOS", 2)
    assert len(held_out(place.target(), dataset)) == 2


# canary


def arm(answers: int, failures: int = 0) -> Arm:
    return Arm(
        answers=answers,
        failures=failures,
        seconds=0.01 * answers,
        seconds_squared=0.000101 * answers,
        confidence=0.9 * answers,
        confidence_squared=0.82 * answers,
    )


def trying(version: Version) -> dict[str, Any]:
    return moving(version, "test", stack="test", mode="canary", share=0.1, hours=1.0)


def compared(challenger: Arm, label: str) -> Evidence:
    """A challenger that gives one label to photos that the champion calls cats."""
    photos = challenger.answers
    pair = Pair(
        champion="cat", challenger=label, photos=photos, doubt=0.2 * photos, examples=("a1",) * (label != "cat")
    )
    differ = photos * (label != "cat")
    return Evidence(
        champion=arm(5000), challenger=challenger, compared=photos, disagreed=differ, endpoints=1, pairs=(pair,)
    )


@pytest.mark.parametrize(
    ("saw", "outcome", "version"),
    [
        (compared(arm(5000), "cat"), "promoted", 2),
        (compared(arm(50, 50), "cat"), "rejected", 1),
        (compared(arm(50), "dog"), "rejected", 1),
    ],
    ids=["won", "failed", "labels swapped"],
)
def test_a_canary_goes_on_until_its_rule_has_decided(
    worker: Worker,
    place: Place,
    publish: Publish,
    run: Run,
    serve: Serve,
    saw: Evidence,
    outcome: str,
    version: int,
) -> None:
    first, second = publish(), publish()
    assert run("promote", "1", "--channel", "test", "--why", "first").exit_code == 0
    seen: list[Evidence] = []

    def body() -> dict[str, Any]:
        seen.append(Evidence(endpoints=1) if not seen else saw)
        output = {"number": 1, "digest": second.digest, "evidence": seen[-1].to_dict()}
        return serving(first, experiment=output)

    place.urls["test"] = serve(body)
    result = worker.perform("canary", **trying(second))
    assert (result.outcome, head(place, "test")) == (outcome, version)
    assert worker.at >= 30, "it looked twice"
    assert worker.at < 60, "and no more once that was enough"
    assert (result.metrics["compared"], result.metrics["disagreed"]) == (saw.compared, saw.disagreed)
    assert ("such as a1" in (result.message or "")) == (saw.disagreed > 0)
    assert len(Experiments(place.buckets["models"], "pets", "test").history()) == 2


def test_a_canary_of_an_interrupted_attempt_is_gone_on_with(
    worker: Worker, place: Place, publish: Publish, run: Run, serve: Serve
) -> None:
    first, second = publish(), publish()
    assert run("promote", "1", "--channel", "test", "--why", "first").exit_code == 0
    place.urls["test"] = serve(serving(first, experiment=None))
    worker.on_pause = lambda: setattr(worker, "why", "rebalance recommendation")
    with pytest.raises(Interrupted):
        worker.end("canary", **trying(second))
    again = Worker(place)
    with pytest.raises(TookTooLong, match="canary did not finish within 60 s"):
        again.end("canary", max_seconds=60, **trying(second))
    assert len(Experiments(place.buckets["models"], "pets", "test").history()) == 1


def test_a_canary_needs_a_version_to_compare_with(worker: Worker, publish: Publish) -> None:
    assert worker.perform("canary", **trying(publish())).outcome == "skipped"


def test_a_canary_whose_version_won_already_is_done(worker: Worker, publish: Publish, run: Run) -> None:
    version = publish()
    assert run("promote", "1", "--channel", "test", "--why", "first").exit_code == 0
    assert worker.perform("canary", **trying(version)).outcome == "promoted"
