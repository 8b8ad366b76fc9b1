"""Checkpoints are written behind the training's back, survive a bad store, and do not pile up."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from registry.errors import StoreRefused, StoreUnavailable
from registry.layout.jobs import checkpoint_key, checkpoints_prefix
from registry.store.memory_store import MemoryStore
from training.fitting.checkpoint import Checkpoints


class Unreliable(MemoryStore):
    """Calls `before` ahead of every creation."""

    def __init__(self, before: Callable[[], None]) -> None:
        super().__init__()
        self.before = before

    def create(self, key: str, body: bytes) -> None:
        self.before()
        super().create(key, body)


def assert_set(gate: threading.Event) -> None:
    assert gate.wait(30)


def state(step: int) -> dict[str, Any]:
    return {"step": step, "weights": torch.full((3,), float(step)), "optimiser": {"groups": [torch.ones(2)]}}


def steps(store: MemoryStore) -> list[str]:
    return [key.removeprefix(checkpoints_prefix("job")) for key in store.keys(checkpoints_prefix("job"))]


def test_training_does_not_wait_for_the_store_and_the_newest_of_what_waits_is_stored():
    gate, reached = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert gate.wait(30)

    store = Unreliable(wait)
    checkpoints = Checkpoints(store, "job")
    checkpoints.save(1, state(1))
    assert reached.wait(30)
    for step in (2, 3, 4):
        checkpoints.save(step, state(step))
    assert steps(store) == []
    gate.set()
    assert checkpoints.settle() == 4
    assert steps(store) == ["000001.pt", "000004.pt"]


def test_what_is_stored_is_the_state_of_its_moment():
    gate = threading.Event()
    store = Unreliable(lambda: assert_set(gate))
    checkpoints, now = Checkpoints(store, "job"), state(1)
    checkpoints.save(1, now)
    now["weights"].zero_()
    gate.set()
    checkpoints.settle()
    last = checkpoints.last()
    assert last
    assert torch.equal(last["weights"], torch.ones(3))


def test_a_store_that_is_silent_for_a_while_is_asked_again():
    failures = iter([StoreUnavailable("k", "no answer"), StoreUnavailable("k", "no answer")])
    paused = list[float]()

    def fail() -> None:
        if error := next(failures, None):
            raise error

    checkpoints = Checkpoints(Unreliable(fail), "job", pauses=(1, 2, 3), pause=paused.append)
    checkpoints.save(1, state(1))
    assert checkpoints.settle() == 1
    assert paused == [1, 2]


@pytest.mark.parametrize(
    ("error", "tries"), [(StoreUnavailable("k", "no answer"), 3), (StoreRefused("k", "denied"), 1)]
)
def test_a_checkpoint_that_cannot_be_stored_is_reported_and_training_goes_on(error: Exception, tries: int):
    asked, said = list[int](), list[str]()

    def fail() -> None:
        if len(asked) < tries:
            asked.append(1)
            raise error

    checkpoints = Checkpoints(
        Unreliable(fail),
        "job",
        pauses=(0, 0),
        pause=lambda _: None,
        report=lambda event, facts: said.append(f"{event} {facts['step']}"),
    )
    checkpoints.save(1, state(1))
    assert checkpoints.settle() == 0
    checkpoints.save(2, state(2))
    assert checkpoints.settle() == 2
    assert said == ["checkpoint not stored 1"]


def test_only_the_last_few_are_kept():
    store = MemoryStore()
    checkpoints = Checkpoints(store, "job", keep=2)
    other = Checkpoints(store, "another")
    other.save(1, state(1))
    other.settle()
    for step in range(1, 6):
        checkpoints.save(step, state(step))
        checkpoints.settle()
    assert steps(store) == ["000004.pt", "000005.pt"]
    assert other.last()


def test_a_checkpoint_that_cannot_be_read_is_reported_and_the_one_before_counts():
    store, said = MemoryStore(), list[str]()
    checkpoints = Checkpoints(store, "job", report=lambda event, facts: said.append(f"{event} {facts['key']}"))
    checkpoints.save(3, state(3))
    checkpoints.settle()
    whole = store.get(checkpoint_key("job", 3))
    store.create(checkpoint_key("job", 6), whole[: len(whole) // 2])
    last = checkpoints.last()
    assert last
    assert last["step"] == 3
    assert said == ["checkpoint unreadable jobs/job/checkpoints/000006.pt"]


def test_a_job_without_checkpoints_begins_at_the_beginning():
    assert Checkpoints(MemoryStore(), "job").last() is None
