"""Collects what an operation did and tells it to whoever listens, without secrets."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from rehearsal.engine.events import Event, Operation, Step, Update
from rehearsal.engine.mask import Mask

type Listener = Callable[[Event], None]


class Reporter:
    """One operation's report; every method may be called from any thread, the listener by one at a time."""

    def __init__(self, kind: Operation, stack: str, *, mask: Mask, listener: Listener | None) -> None:
        self.mask = mask
        self._kind: Operation = kind
        self._stack = stack
        self._listener = listener
        self._lock = threading.RLock()
        self._began = time.monotonic()
        self._steps: list[Step] = []
        self._errors: list[str] = []

    @property
    def failed(self) -> bool:
        """Whether an error was reported."""
        return bool(self._errors)

    def started(self, step: Step) -> None:
        """A step that takes time has begun."""
        self._tell(Event(kind="started", step=self._masked(step)))

    def finished(self, step: Step) -> None:
        """A step is done; unchanged resources are counted and not told."""
        step = self._masked(step)
        with self._lock:
            self._steps.append(step)
        if step.op != "same":
            self._tell(Event(kind="finished", step=step))

    def failure(self, text: str, step: Step | None = None) -> str:
        """A step, or the operation, failed; returns the text as it may be shown."""
        text = self.mask.text(text)
        with self._lock:
            if text in self._errors:  # one cause may stop several steps at once
                return text
            self._errors.append(text)
        self._tell(Event(kind="failed", text=text, severity="error", step=self._masked(step) if step else None))
        return text

    def message(self, text: str, *, warning: bool = False) -> None:
        """Something worth saying."""
        text = self.mask.text(text.rstrip())
        if text:
            self._tell(Event(kind="message", text=text, severity="warning" if warning else "info"))

    def outputs_known(self) -> None:
        """The stack's outputs can be read from now on."""
        self._tell(Event(kind="outputs"))

    def update(self, *, outputs: Mapping[str, Any], config: Mapping[str, str]) -> Update:
        """The report as it stands."""
        with self._lock:
            counts: Counter[str] = Counter(step.op for step in self._steps)
            return Update(
                kind=self._kind,
                stack=self._stack,
                ok=not self._errors,
                changes=dict(counts),
                outputs=outputs,
                steps=tuple(self._steps),
                errors=tuple(self._errors),
                seconds=time.monotonic() - self._began,
                config=config,
            )

    def _masked(self, step: Step) -> Step:
        return replace(
            step,
            changes=tuple(replace(c, old=self.mask.value(c.old), new=self.mask.value(c.new)) for c in step.changes),
            inputs=self.mask.value(step.inputs),
            old=self.mask.value(step.old),
            new=self.mask.value(step.new),
        )

    def _tell(self, event: Event) -> None:
        if self._listener is not None:
            # A listener that fails, say on a closed terminal, must not stop a deployment half way.
            with self._lock, suppress(Exception):
                self._listener(event)
