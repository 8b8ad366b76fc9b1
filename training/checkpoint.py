"""Checkpoints of a job: written once each, numbered by step; the last one is where the next machine goes on."""

import io
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from registry.errors import ObjectExists
from registry.layout import checkpoint_key, checkpoints_prefix
from registry.object_store import ObjectStore

type State = Mapping[str, Any]
"""What decides the future of a training: plain values and tensors, as torch saves them."""


class Checkpoints:
    """The checkpoints of one job."""

    def __init__(self, workspace: ObjectStore, job: str) -> None:
        self._store = workspace
        self._job = job

    def save(self, step: int, state: State) -> None:
        """Store the state after `step` steps.

        If another machine was there first its checkpoint stays: the same job after the same steps is in the same state.
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        with suppress(ObjectExists):
            self._store.create(checkpoint_key(self._job, step), buffer.getvalue())

    def last(self) -> State | None:
        """Load the state after the most steps; None if there is none. Loads tensors and plain values only."""
        keys = list(self._store.keys(checkpoints_prefix(self._job)))
        if not keys:
            return None
        return torch.load(io.BytesIO(self._store.get(keys[-1])), map_location="cpu", weights_only=True)
