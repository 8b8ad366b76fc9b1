"""Checkpoints of a job, numbered by step and never overwritten; the next machine resumes from the last one.

Training passes a copy of its state and continues immediately; one thread serialises and uploads it. If the store is
slower than the training, a waiting checkpoint is replaced by a newer one: only the newest limits what is lost.
"""

import io
import pickle
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Protocol, cast

import torch
from torch import Tensor

from registry.errors import ObjectMissing, RegistryError
from registry.layout.jobs import checkpoint_key, checkpoints_prefix
from registry.store.object_store import ObjectStore
from training.fitting.retry import PAUSES, create_with_retries

KEPT: Final = 3
"""So many are kept: the last, and those before it in case that it cannot be read."""

type State = Mapping[str, Any]
"""What decides the future of a training: plain values and tensors, as torch saves them."""

type Report = Callable[[str, Mapping[str, object]], None]


class CheckpointStore(ObjectStore, Protocol):
    """A workspace in which old checkpoints may be deleted."""

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens if there is none."""
        ...


class Checkpoints:
    """The checkpoints of one job.

    If a checkpoint cannot be stored after the last retry, this is reported and training continues: the next one
    contains more. The writing thread calls `before_each` before it stores one, to store first what a
    resumed training needs. Used by one thread.
    """

    def __init__(
        self,
        workspace: CheckpointStore,
        job: str,
        *,
        keep: int = KEPT,
        before_each: Callable[[], None] = lambda: None,
        report: Report = lambda _event, _facts: None,
        pauses: tuple[float, ...] = PAUSES,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._job, self._keep = workspace, job, keep
        self._before_each = before_each
        self._report, self._pauses, self._pause = report, pauses, pause
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._writing: Future[None] | None = None
        self._lock = threading.Lock()
        self._waiting: tuple[int, State] | None = None
        self._stored = 0

    def save(self, step: int, state: State) -> None:
        """Copy the state after `step` steps, and store the copy in the background."""
        copied = cast("State", _copy(state))
        with self._lock:
            self._waiting = step, copied
            if self._writing is None:
                self._writing = self._writer.submit(self._write)

    def settle(self) -> int:
        """Wait until everything is written; returns the last step that this process stored, or 0."""
        while writing := self._writing:
            writing.result()
        return self._stored

    def last(self) -> State | None:
        """Load the state after the most steps that can be read; None if there is none.

        Loads tensors and plain values only.
        """
        for key in reversed(list(self._store.keys(checkpoints_prefix(self._job)))):
            try:
                return torch.load(io.BytesIO(self._store.get(key)), map_location="cpu", weights_only=True)
            except ObjectMissing:  # another machine is further on, and has deleted it
                continue
            except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
                self._report("checkpoint unreadable", {"key": key, "message": str(error)})
        return None

    def _write(self) -> None:
        while True:
            with self._lock:
                waiting, self._waiting = self._waiting, None
                if waiting is None:
                    self._writing = None
                    return
            step, state = waiting
            self._before_each()
            try:
                self._send(step, state)
            except RegistryError as error:
                self._report("checkpoint not stored", {"step": step, "message": str(error)})
            except Exception as error:  # noqa: BLE001 - such as no memory to write it in: training shall go on
                self._report("checkpoint not stored", {"step": step, "message": repr(error)})

    def _send(self, step: int, state: State) -> None:
        """Store one, then delete what is too old.

        If another machine was there first its checkpoint stays: the same job after the same steps is in the same state.
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        key = checkpoint_key(self._job, step)
        create_with_retries(self._store, key, buffer.getvalue(), pauses=self._pauses, pause=self._pause)
        self._stored = step
        for key in list(self._store.keys(checkpoints_prefix(self._job)))[: -self._keep]:
            self._store.delete(key)


def _copy(value: Any) -> Any:
    """Copy tensors to the CPU's memory, where the next step will not change them."""
    match value:
        case Tensor():
            return value.detach().to("cpu", copy=True)
        case Mapping():
            return {name: _copy(part) for name, part in cast("Mapping[Any, Any]", value).items()}
        case list():
            return [_copy(part) for part in cast("list[Any]", value)]
        case _:
            return value
