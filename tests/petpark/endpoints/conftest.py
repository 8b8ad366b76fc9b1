"""An experiment in `prod`, and what endpoints say of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from registry.channels.channel import Channel
from registry.channels.experiment import Experiment, Experiments
from registry.channels.experiment_rule import Arm, Evidence, Pair
from registry.version import Version
from tests.petpark.conftest import Place, Run

type Publish = Callable[..., Version]


@pytest.fixture
def versions(run: Run, publish: Publish) -> list[Version]:
    """Two versions; channel `test` is at the first."""
    both = [publish(), publish()]
    assert run("promote", "1", "--channel", "test", "--why", "first").exit_code == 0
    return both


@pytest.fixture
def begun(run: Run, place: Place, versions: list[Version]) -> Experiment:
    """A canary of version 2 on channel `test`."""
    said = run("experiment", "start", "2", "--channel", "test", "--mode", "canary", "--why", "x", "--least", "100")
    assert said.exit_code == 0, said.stderr
    head = log(place).head()
    assert isinstance(head, Experiment)
    return head


def log(place: Place) -> Experiments:
    return Experiments(place.buckets["models"], "pets", "test")


def head(place: Place) -> int | None:
    move = Channel(place.buckets["models"], "pets", "test").head()
    return None if move is None else move.version


def arm(answers: int, failures: int = 0) -> Arm:
    return Arm(
        answers=answers,
        failures=failures,
        seconds=0.01 * answers,
        seconds_squared=0.000101 * answers,
        confidence=0.9 * answers,
        confidence_squared=0.82 * answers,
    )


def saw(begun: Experiment, champion: Arm, challenger: Arm, *, instance: str = "i-1") -> dict[str, Any]:
    """What an endpoint's `/v1/model` says."""
    answers = challenger.answers
    agreed = (Pair(champion="cat", challenger="cat", photos=answers, doubt=0.2 * answers),) if answers else ()
    evidence = Evidence(champion=champion, challenger=challenger, compared=answers, endpoints=1, pairs=agreed)
    return {
        "version": 1,
        "channel": "test",
        "instance": instance,
        "experiment": {"number": begun.number, "digest": begun.digest, "evidence": evidence.to_dict()},
    }


def judge(run: Run, place: Place, url: str, *more: str) -> tuple[int, dict[str, Any]]:
    place.urls["test"] = url
    said = run("experiment", "judge", "--channel", "test", "--json", *more)
    return said.exit_code, json.loads(said.stdout or said.stderr)
