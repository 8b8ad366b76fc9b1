"""A training that is interrupted, however often and however rudely, ends with the weights of one that was not."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from registry.layout import checkpoints_prefix
from registry.object_store import MemoryStore
from tests.folder_store import FolderStore
from tests.training import training_process
from tests.training.training_process import PARAMETERS, some_pixels, train_some
from training.checkpoint import Checkpoints
from training.errors import Interrupted, LossNotFinite, OutOfMemory
from training.hyper_parameters import HyperParameters
from training.job import EpochRecord
from training.model import Classifier
from training.train import learning_rate, train

STEPS = 12  # 28 photos in batches of 8, four times


@pytest.fixture(scope="module")
def whole() -> Classifier:
    return train_some(Checkpoints(MemoryStore(), "job"))


def same_weights(one: Classifier, other: Classifier) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def after(calls: int) -> Callable[[], bool]:
    """Say yes at the call after so many."""
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


def test_a_training_killed_at_a_random_step_goes_on_to_equal_weights(whole: Classifier, tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-m", training_process.__name__, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        for _ in range(random.randint(5, STEPS)):  # noqa: S311
            assert process.stdout.readline() == "step\n"
        process.send_signal(signal.SIGKILL)
    store = FolderStore(tmp_path)
    assert list(store.keys(checkpoints_prefix("job"))), "it was killed after at least one epoch"
    assert same_weights(train_some(Checkpoints(store, "job")), whole)


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


def test_every_epoch_leaves_a_record_and_a_checkpoint():
    store, records = MemoryStore(), list[EpochRecord]()
    train_some(Checkpoints(store, "job"), on_epoch=records.append)
    assert [record.epoch for record in records] == [1, 2, 3, 4]
    assert [key[-9:] for key in store.keys(checkpoints_prefix("job"))] == [f"{n:06d}.pt" for n in (3, 6, 9, 12)]


def test_an_interrupted_epoch_has_the_same_record_as_a_whole_one():
    whole, parts, checkpoints = list[EpochRecord](), list[EpochRecord](), Checkpoints(MemoryStore(), "job")
    train_some(Checkpoints(MemoryStore(), "job"), on_epoch=whole.append)
    with pytest.raises(Interrupted):
        train_some(checkpoints, should_stop=after(5), on_epoch=parts.append)
    train_some(checkpoints, on_epoch=parts.append)
    assert [replace(record, seconds=0) for record in parts] == [replace(record, seconds=0) for record in whole]


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

    monkeypatch.setattr("training.train.augment", too_much)
    with pytest.raises(OutOfMemory, match="lower batch_size"):
        train_with(PARAMETERS)


def test_the_learning_rate_rises_then_falls_to_nothing():
    rates = [
        learning_rate(HyperParameters(learning_rate=1.0, warm_up=0.1), step=step, steps=100) for step in range(100)
    ]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[9] == max(rates)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001
