"""Records of epochs are sent behind the training's back, in order, whatever the store does; what is lost is said."""

import threading
from collections.abc import Callable, Mapping

import pytest

from registry.errors import RegistryError, StoreRefused, StoreUnavailable
from registry.layout.jobs import epoch_key
from registry.store.memory_store import MemoryStore
from tests.training.fitting.test_checkpoint import Unreliable, assert_set
from training.job import EpochRecord
from training.jobs.epochs import Epochs

AWAY = StoreUnavailable("write", "no answer")


def record(epoch: int, *, loss: float = 0.5) -> EpochRecord:
    return EpochRecord(epoch=epoch, of=9, train_loss=loss, loss=loss, accuracy=0.5, learning_rate=0.1, seconds=1)


class Said:
    """What a job's log was told, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: str, facts: Mapping[str, object]) -> None:
        self.lines.append(f"{event} {facts['epoch']}")


def stored(store: MemoryStore) -> list[int]:
    return [EpochRecord.from_json(store.get(key)).epoch for key in store.keys("jobs/job/epochs/")]


def failing(errors: Mapping[int, RegistryError]) -> Callable[[], None]:
    """Fail the tries with these numbers."""
    tries = iter(range(1, 100))

    def before() -> None:
        if error := errors.get(next(tries)):
            raise error

    return before


def test_training_does_not_wait_for_the_store_and_the_order_is_kept():
    gate, message = threading.Event(), Said()
    store = Unreliable(lambda: assert_set(gate))
    epochs = Epochs(store, "job", report=message)
    for number in (1, 2, 3):
        epochs.add(record(number))  # would hang here if it were sent here
    assert stored(store) == message.lines == []
    gate.set()
    epochs.settle()
    assert stored(store) == [1, 2, 3]
    assert message.lines == ["epoch 1", "epoch 2", "epoch 3"]


def test_a_store_that_is_silent_for_a_while_is_asked_again_before_the_next_record():
    store, messages, paused = Unreliable(failing({1: AWAY, 2: AWAY})), Said(), list[float]()
    epochs = Epochs(store, "job", report=messages, pauses=(1, 2), pause=paused.append)
    for number in (1, 2):
        epochs.add(record(number))
    epochs.settle()
    assert paused == [1, 2]
    assert stored(store) == [1, 2]
    assert messages.lines == ["epoch 1", "epoch 2"]


@pytest.mark.parametrize(("error", "tries"), [(AWAY, 3), (StoreRefused("write", "denied"), 1)])
def test_a_record_that_cannot_be_stored_is_said_and_the_next_one_goes_on(error: RegistryError, tries: int):
    store, message = Unreliable(failing(dict.fromkeys(range(1, tries + 1), error))), Said()
    epochs = Epochs(store, "job", report=message, pauses=(0, 0), pause=lambda _: None)
    for number in (1, 2):
        epochs.add(record(number))
    epochs.settle()
    assert stored(store) == [2]
    assert message.lines == ["epoch not stored 1", "epoch 1", "epoch 2"]


def test_while_the_store_is_away_records_get_one_try_each_so_that_an_end_is_not_held_up():
    paused = list[float]()
    store, message = Unreliable(failing(dict.fromkeys([*range(1, 6), 7], AWAY))), Said()
    epochs = Epochs(store, "job", report=message, pauses=(1, 2), pause=paused.append)
    for number in (1, 2, 3, 4, 5):  # three tries of the first, one of the second and third, one that succeeds, two
        epochs.add(record(number))
    epochs.settle()
    assert stored(store) == [4, 5]
    assert paused == [1, 2, 1]


def test_what_an_earlier_machine_recorded_stays():
    store, message = MemoryStore(), Said()
    store.create(epoch_key("job", 1), record(1, loss=0.25).to_json())
    epochs = Epochs(store, "job", report=message)
    epochs.add(record(1))
    epochs.settle()
    assert EpochRecord.from_json(store.get(epoch_key("job", 1))).loss == 0.25
    assert message.lines == ["epoch 1"]
