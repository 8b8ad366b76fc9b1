"""An update under way: each resource that the program registers is planned, decided upon, and carried out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rehearsal.engine import execution, planning, wire
from rehearsal.engine.errors import Cancelled, EngineError, ProviderDiagnostics
from rehearsal.engine.record import STACK_TYPE, Record
from rehearsal.engine.registration import Registration, urn
from rehearsal.engine.values import Fields
from rehearsal.engine.worker import Worker, step_of


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What the program gets back for a resource; `id` is empty while unknown."""

    urn: str
    id: str
    outputs: Fields
    secrets: frozenset[str]


class Deployment:
    """Serves one run of the program. `worker` is asked for on first need, so that the provider starts meanwhile."""

    def __init__(
        self, *, project: str, stack: str, dry_run: bool, worker: Callable[[], Worker], cancelled: threading.Event
    ) -> None:
        self.project = project
        self.stack = stack
        self.dry_run = dry_run
        self.stack_outputs = wire.Properties(values={}, secrets=frozenset())
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

    def register(self, wanted: Registration) -> Registered:
        """Bring one resource to what the program wants; raises `EngineError` if that did not succeed."""
        with self._in_flight():
            worker = self._worker()
            address = urn(
                stack=self.stack, project=self.project, parent=wanted.parent, type_=wanted.type, name=wanted.name
            )
            old = self._claim(address, wanted, worker)
            try:
                bring = self._provided if wanted.custom else self._component
                record = bring(worker, address, old, wanted)
            except ProviderDiagnostics as error:
                raise ProviderDiagnostics([f"{wanted.label}: {message}" for message in error.messages]) from error
            with self._idle:
                self._seen[address] = record
            if not wanted.custom:
                return Registered(urn=address, id="", outputs=wanted.inputs.values, secrets=wanted.inputs.secrets)
            return Registered(urn=address, id=record.id, outputs=record.outputs, secrets=record.secrets)

    def set_outputs(self, address: str, outputs: wire.Properties) -> None:
        """Record what a component or the stack exports."""
        worker = self._worker()
        worker.reporter.mask.learn({name: outputs.values[name] for name in outputs.secrets})
        record = self._seen.get(address)
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

    def fail(self) -> None:
        """Let no further step begin."""
        self._failed.set()

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

    def _claim(self, address: str, wanted: Registration, worker: Worker) -> Record | None:
        """The record that this registration continues: under its own URN, or under an alias that nobody has."""
        with self._idle:
            if address in self._seen:
                raise EngineError(
                    f"{wanted.label} is registered twice; names must be unique within a type ({address})."
                )
            self._seen[address] = None
            for candidate in (address, *wanted.aliases):
                old = worker.state.get(candidate)
                if (
                    old is not None
                    and candidate not in self._claimed
                    and (candidate not in self._seen or candidate == address)
                ):
                    self._claimed.add(candidate)
                    self._seen.setdefault(candidate, None)
                    return old
            return None

    def _component(self, worker: Worker, address: str, old: Record | None, wanted: Registration) -> Record:
        """Components and the stack exist in the state alone; their outputs come when all is registered."""
        record = planning.record_of(address, wanted)
        if old is not None:
            record = replace(record, outputs=old.outputs, secrets=record.secrets | old.secrets)
        if not self.dry_run:
            worker.state.put(record, instead_of=old)
        worker.reporter.finished(step_of("create" if old is None else "same", record, new=record.inputs))
        return record

    def _provided(self, worker: Worker, address: str, old: Record | None, wanted: Registration) -> Record:
        intent = planning.intend(worker.bridge, address, wanted, old)
        inputs = intent.record.inputs
        worker.reporter.mask.learn({name: inputs[name] for name in intent.record.secrets if name in inputs})
        return execution.take(worker, intent, seen=self.seen, dry_run=self.dry_run)
