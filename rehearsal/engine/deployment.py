"""An update under way: each resource that the program registers is planned, decided upon, and carried out."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

from rehearsal.engine import apply, plan
from rehearsal.engine.apply import Worker
from rehearsal.engine.display import Step
from rehearsal.engine.errors import Cancelled, EngineError, ProviderDiagnostics
from rehearsal.engine.plan import Goal
from rehearsal.engine.state import STACK_TYPE, Record
from rehearsal.engine.values import Properties


class Deployment:
    """Serves one run of the program. `worker` is called on first need, so that the provider starts in parallel."""

    def __init__(
        self, *, project: str, stack: str, dry_run: bool, worker: Callable[[], Worker], cancelled: threading.Event
    ) -> None:
        self.project = project
        self.stack = stack
        self.dry_run = dry_run
        self.stack_outputs = Properties(values={}, secrets=frozenset())
        self._worker = worker
        self._cancelled = cancelled
        self._failed = threading.Event()
        self._seen: dict[str, Record | None] = {}
        self._claimed: set[str] = set()
        self._busy = 0
        self._idle = threading.Condition()

    @property
    def seen(self) -> set[str]:
        """The URNs that the program has registered."""
        with self._idle:
            return set(self._seen)

    def ended_early(self) -> bool:
        """Whether no step will begin any more and none is in flight."""
        with self._idle:
            return self._busy == 0 and (self._failed.is_set() or self._cancelled.is_set())

    def wait_until_idle(self) -> None:
        """Return when no step is in flight."""
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0)

    def fail(self) -> None:
        """Start no more steps."""
        self._failed.set()

    def register(self, goal: Goal) -> Record:
        """Bring one resource to its declared state. Raises `EngineError` if that fails.

        Returns its record: of a component with its inputs as outputs, in a preview with an empty id if that is unknown.
        """
        record = goal.record
        with self._in_flight():
            worker = self._worker()
            old = self._claim(goal, worker)
            if not record.custom:
                done = self._component(worker, record, old)
            else:
                try:
                    done = self._resource(worker, goal, old)
                except ProviderDiagnostics as error:
                    raise ProviderDiagnostics([f"{record.label}: {message}" for message in error.messages]) from error
            with self._idle:
                self._seen[record.urn] = done
            return done if record.custom else replace(record, outputs=record.inputs)

    def set_outputs(self, urn: str, outputs: Properties) -> None:
        """Record what a component or the stack exports."""
        worker = self._worker()
        worker.reporter.mask.learn({name: outputs.values[name] for name in outputs.secrets})
        record = self._seen.get(urn)
        if record is None:
            return
        if record.type == STACK_TYPE:
            self.stack_outputs = outputs
        if self.dry_run:
            return
        given = record.secrets & record.inputs.keys()
        worker.state.put(replace(record, outputs=outputs.values, secrets=outputs.secrets | given))
        if record.type == STACK_TYPE:
            worker.state.save()
            worker.reporter.outputs_known()

    @contextmanager
    def _in_flight(self) -> Generator[None]:
        with self._idle:
            if self._cancelled.is_set():
                raise Cancelled("The operation was cancelled; this step was not begun.")
            if self._failed.is_set():
                raise Cancelled("An earlier step failed; this one was not begun.")
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def _claim(self, goal: Goal, worker: Worker) -> Record | None:
        """The record that this registration continues: under its own URN, or under an unused alias."""
        urn = goal.record.urn
        with self._idle:
            if urn in self._seen:
                raise EngineError(
                    f"{goal.record.label} is registered twice; names must be unique within a type ({urn})."
                )
            self._seen[urn] = None
            for candidate in (urn, *goal.aliases):
                old = worker.state.get(candidate)
                free = candidate not in self._claimed and (candidate not in self._seen or candidate == urn)
                if old is not None and free:
                    self._claimed.add(candidate)
                    self._seen.setdefault(candidate, None)
                    return old
            return None

    def _component(self, worker: Worker, record: Record, old: Record | None) -> Record:
        """Components and the stack exist in the state alone; their outputs come when all is registered."""
        if old is not None:
            record = replace(record, outputs=old.outputs, secrets=record.secrets | old.secrets)
        if not self.dry_run:
            worker.state.put(record, instead_of=old)
        worker.reporter.finished(Step.on(record, "create" if old is None else "same"))
        return record

    def _resource(self, worker: Worker, goal: Goal, old: Record | None) -> Record:
        intent = plan.intend(worker.resources, goal.record, old)
        inputs = intent.record.inputs
        worker.reporter.mask.learn({name: inputs[name] for name in intent.record.secrets if name in inputs})
        return apply.execute(
            worker,
            intent,
            seen=self.seen,
            dry_run=self.dry_run,
            delete_before_replace=goal.delete_before_replace,
        )
