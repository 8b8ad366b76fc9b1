"""A training that is interrupted, however often and however rudely, ends with the weights of one that was not."""

import multiprocessing
import random
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch
from torch import Tensor

from registry.layout.jobs import checkpoint_key, checkpoints_prefix
from registry.store.memory_store import MemoryStore
from tests.folder_store import FolderStore
from tests.training import training_process
from tests.training.training_process import PARAMETERS, some_pixels, train_some
from training.errors import AcceleratorLost, Interrupted, LossNotFinite, OutOfMemory
from training.fitting.augment import Variations, augment
from training.fitting.checkpoint import Checkpoints
from training.fitting.train import learning_rate, train
from training.hyper_parameters import HyperParameters
from training.job import EpochRecord
from training.networks.model import Classifier

STEPS = 12  # 28 photos in batches of 8, four times


@pytest.fixture(scope="module")
def whole() -> Classifier:
    return train_some(Checkpoints(MemoryStore(), "job"))


def same_weights(one: Classifier, other: Classifier) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def after(calls: int) -> Callable[[], bool]:
    """Returns True at the call after so many."""
    count = iter(range(calls))
    return lambda: next(count, None) is None


@pytest.mark.parametrize("step", [0, 3, 7])
def test_an_interrupted_training_goes_on_to_equal_weights(whole: Classifier, step: int):
    checkpoints = Checkpoints(MemoryStore(), "job")
    with pytest.raises(Interrupted, match=f"after {step} of {STEPS} steps"):
        train_some(checkpoints, should_stop=after(step))
    assert same_weights(train_some(checkpoints), whole)


def test_a_training_interrupted_again_and_again_still_ends_with_equal_weights(whole: Classifier):
    checkpoints = Checkpoints(MemoryStore(), "job")
    for _ in range(STEPS // 2 - 1):
        with pytest.raises(Interrupted):
            train_some(checkpoints, should_stop=after(2))
    assert same_weights(train_some(checkpoints), whole)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes that have imported torch before they begin (`tests/conftest.py`): ten start in the time of one."""
    return multiprocessing.get_context("forkserver")


@pytest.mark.parametrize("life", range(10))
def test_a_training_killed_at_a_random_moment_goes_on_to_equal_weights(
    whole: Classifier, tmp_path: Path, processes: ForkServerContext, life: int
):
    here, there = processes.Pipe()
    victim = processes.Process(target=training_process.train_aloud, args=(tmp_path, "job", there))
    victim.start()
    for _ in range(random.randint(1, STEPS)):
        assert here.recv() == "step"
    time.sleep(random.uniform(0, 0.03))
    victim.kill()
    victim.join()
    assert same_weights(train_some(Checkpoints(FolderStore(tmp_path), "job")), whole)


def test_another_seed_or_order_of_steps_gives_other_weights(whole: Classifier):
    other = train(
        some_pixels(),
        some_pixels(seed=6),
        classes=2,
        parameters=PARAMETERS,
        seed=12,
        initial_weights=None,
        checkpoints=Checkpoints(MemoryStore(), "job"),
        on_epoch=lambda _record: None,
        should_stop=lambda: False,
    )
    assert not same_weights(other, whole)


def test_every_epoch_leaves_a_record_and_the_last_checkpoint_is_that_of_the_end():
    store, records = MemoryStore(), list[EpochRecord]()
    train_some(Checkpoints(store, "job"), on_epoch=records.append)
    assert [record.epoch for record in records] == [1, 2, 3, 4]
    assert all(record.usage["memory_gib"] > 0 for record in records)
    assert list(store.keys(checkpoints_prefix("job")))[-1] == checkpoint_key("job", STEPS)


def test_an_interrupted_epoch_has_the_same_record_as_a_whole_one():
    whole, parts, checkpoints = list[EpochRecord](), list[EpochRecord](), Checkpoints(MemoryStore(), "job")
    train_some(Checkpoints(MemoryStore(), "job"), on_epoch=whole.append)
    with pytest.raises(Interrupted):
        train_some(checkpoints, should_stop=after(5), on_epoch=parts.append)
    train_some(checkpoints, on_epoch=parts.append)
    assert [replace(record, seconds=0, usage={}) for record in parts] == [
        replace(record, seconds=0, usage={}) for record in whole
    ]


def train_with(parameters: HyperParameters) -> Classifier:
    return train(
        some_pixels(),
        some_pixels(seed=6),
        classes=2,
        parameters=parameters,
        seed=1,
        initial_weights=None,
        checkpoints=Checkpoints(MemoryStore(), "job"),
        on_epoch=lambda _record: None,
        should_stop=lambda: False,
    )


def test_a_diverging_training_ends_with_advice_and_no_checkpoint():
    with pytest.raises(LossNotFinite, match="lower learning_rate"):
        train_with(replace(PARAMETERS, learning_rate=1e30))


def test_a_machine_too_small_is_named_as_such(monkeypatch: pytest.MonkeyPatch):
    def too_much(*_arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr("training.fitting.batches.augment", too_much)
    with pytest.raises(OutOfMemory, match="lower batch_size"):
        train_with(PARAMETERS)


@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory, "lower batch_size"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), OutOfMemory, "lower batch_size"),
        (RuntimeError("CUDA error: GPU has fallen off the bus\nmore"), AcceleratorLost, "off the bus"),
    ],
)
def test_a_failing_device_is_named_and_what_was_learned_before_stays(
    monkeypatch: pytest.MonkeyPatch, whole: Classifier, error: Exception, outcome: type[Exception], said: str
):
    checkpoints, steps = Checkpoints(MemoryStore(), "job"), iter(range(STEPS))

    def fail_in_the_second_epoch(photos: Tensor, variations: Variations, size: int) -> Tensor:
        if next(steps) == 4:
            raise error
        return augment(photos, variations, size)

    monkeypatch.setattr("training.fitting.batches.augment", fail_in_the_second_epoch)
    with pytest.raises(outcome, match=said):
        train_some(checkpoints)
    monkeypatch.undo()
    state = checkpoints.last()
    assert state
    assert state["step"] == 3
    assert same_weights(train_some(checkpoints), whole)


def test_an_error_that_is_nobodys_fault_but_ours_keeps_its_name(monkeypatch: pytest.MonkeyPatch):
    def fail(*_arguments: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr("training.fitting.batches.augment", fail)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train_with(PARAMETERS)


def test_an_interrupted_training_without_numbers_leaves_no_checkpoint():
    checkpoints = Checkpoints(MemoryStore(), "job")
    with pytest.raises(LossNotFinite):
        train(
            some_pixels(),
            some_pixels(seed=6),
            classes=2,
            parameters=replace(PARAMETERS, learning_rate=1e30),
            seed=1,
            initial_weights=None,
            checkpoints=checkpoints,
            on_epoch=lambda _record: None,
            should_stop=after(2),
        )
    assert checkpoints.last() is None


def test_the_learning_rate_rises_then_falls_to_nothing():
    rates = [
        learning_rate(HyperParameters(learning_rate=1.0, warm_up=0.1), step=step, steps=100) for step in range(100)
    ]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[9] == max(rates)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001
