"""An update under way: each resource that the program registers is planned, decided upon, and carried out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rehearsal.engine import diff, wire
from rehearsal.engine import step as decisions
from rehearsal.engine.bridge import Kind, autoname
from rehearsal.engine.cascade import delete_dependents
from rehearsal.engine.errors import Cancelled, EngineError, ProviderDiagnostics, ResourceProtected
from rehearsal.engine.events import Change
from rehearsal.engine.provider import Plan
from rehearsal.engine.record import STACK_TYPE, Held, Record
from rehearsal.engine.registration import Registration, urn
from rehearsal.engine.values import UNKNOWN, Fields
from rehearsal.engine.worker import Worker, step_of


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What the program gets back for a resource; `id` is empty while unknown."""

    urn: str
    id: str
    outputs: Fields
    secrets: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """A resource on its way: its kind, what it was, what is wanted, and the plan between the two."""

    kind: Kind
    record: Record
    old: Record | None
    prior: Fields | None
    config: Fields
    plan: Plan
    registration: Registration

    @property
    def decision(self) -> decisions.Decision:
        """The step to take."""
        tainted = self.old is not None and self.old.tainted
        return decisions.decide(self.prior, self.plan.state, self.plan.replaces, tainted=tainted)


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
                return bring(worker, address, old, wanted)
            except ProviderDiagnostics as error:
                raise ProviderDiagnostics([f"{wanted.label}: {message}" for message in error.messages]) from error

    def set_outputs(self, address: str, outputs: wire.Properties) -> None:
        """Record what a component or the stack exports."""
        worker = self._worker()
        worker.reporter.mask.learn({name: outputs.values[name] for name in outputs.secrets})
        record = self._seen.get(address)
        if record is None:
            return
        if record.type == STACK_TYPE:
            self.stack_outputs = outputs
        if not self.dry_run:
            worker.state.put(replace(record, outputs=outputs.values, secrets=outputs.secrets))

    def fail(self) -> None:
        """Let no further step begin."""
        self._failed.set()

    @contextmanager
    def _in_flight(self) -> Generator[None]:
        if self._cancelled.is_set():
            raise Cancelled("The operation was cancelled; this step was not begun.")
        if self._failed.is_set():
            raise Cancelled("An earlier step failed; this one was not begun.")
        with self._idle:
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

    def _component(self, worker: Worker, address: str, old: Record | None, wanted: Registration) -> Registered:
        record = self._record(address, wanted, wanted.inputs.values, "")
        if old is not None:
            record = replace(record, outputs=old.outputs, secrets=record.secrets | old.secrets)
        self._keep(worker, record, old)
        worker.reporter.finished(step_of("create" if old is None else "same", record, new=record.inputs))
        return Registered(urn=address, id="", outputs=wanted.inputs.values, secrets=wanted.inputs.secrets)

    def _provided(self, worker: Worker, address: str, old: Record | None, wanted: Registration) -> Registered:
        kind = worker.bridge.kind(wanted.type)
        inputs = wanted.inputs.values
        if old is not None:
            inputs = decisions.ignore_changes(inputs, old.inputs, wanted.ignore_changes)
        inputs, autonamed = _named(kind, wanted.name, inputs, old)
        record = self._record(address, wanted, inputs, autonamed)
        worker.reporter.mask.learn({name: inputs[name] for name in record.secrets if name in inputs})
        item = self._plan(worker, kind, record, old, wanted)
        match item.decision:
            case "same":
                record = self._same(worker, item)
            case "create":
                record = self._create(worker, item)
            case "update":
                record = self._update(worker, item)
            case "replace":
                record = self._replace(worker, item)
        with self._idle:
            self._seen[address] = record
        return Registered(urn=address, id=record.id, outputs=record.outputs, secrets=record.secrets)

    def _record(self, address: str, wanted: Registration, inputs: Fields, autonamed: str) -> Record:
        parent = (wanted.parent,) if wanted.parent else ()
        secrets = wanted.inputs.secrets | wanted.additional_secrets
        return Record(
            urn=address,
            type=wanted.type,
            name=wanted.name,
            parent=wanted.parent,
            custom=wanted.custom,
            inputs=inputs,
            # What AWS reports of a resource's tags repeats what the program gave.
            secrets=secrets | {"tagsAll"} if "tags" in secrets else secrets,
            autonamed=autonamed,
            dependencies=tuple(sorted({*wanted.dependencies, *parent})),
            property_dependencies=wanted.property_dependencies,
            protect=wanted.protect,
            retain=wanted.retain,
        )

    def _plan(self, worker: Worker, kind: Kind, record: Record, old: Record | None, wanted: Registration) -> _Wanted:
        provider = worker.bridge.provider
        config = worker.bridge.config(kind, record.inputs, wanted.timeouts)
        provider.validate(kind.schema, config)
        held = old.held if old is not None else None
        prior = worker.bridge.known(held, kind) if held is not None else None
        plan = provider.plan(kind.schema, prior, config, held.private if held is not None else b"")
        if prior is not None:
            plan = _ignoring(kind, plan, prior, wanted.ignore_changes)
            record = worker.bridge.completed(kind, record, _held(kind, prior, held.private if held else b""))
        return _Wanted(kind=kind, record=record, old=old, prior=prior, config=config, plan=plan, registration=wanted)

    def _same(self, worker: Worker, item: _Wanted) -> Record:
        self._keep(worker, item.record, item.old)
        worker.reporter.finished(step_of("same", item.record, old=item.record.outputs, new=item.record.outputs))
        return item.record

    def _create(self, worker: Worker, item: _Wanted) -> Record:
        began = time.monotonic()
        record = self._preview(worker, item.kind, item.record, item.plan)
        step = step_of("create", record, new=record.inputs)
        if not self.dry_run:
            worker.reporter.started(step)
            record = worker.create(item.kind, item.record, item.plan, item.config)
        worker.reporter.finished(step_of("create", record, new=record.outputs, began=began))
        return record

    def _update(self, worker: Worker, item: _Wanted) -> Record:
        began = time.monotonic()
        changes = self._changes(worker, item)
        if self.dry_run or item.prior is None:
            record = self._preview(worker, item.kind, item.record, item.plan)
        else:
            self._keep(worker, item.record, item.old)
            worker.reporter.started(step_of("update", item.record, changes=changes))
            record = worker.update(item.kind, item.record, item.prior, item.plan, item.config)
        worker.reporter.finished(
            step_of("update", record, old=item.record.outputs, new=record.outputs, changes=changes, began=began)
        )
        return record

    def _replace(self, worker: Worker, item: _Wanted) -> Record:
        """Create the new before deleting the old at the end, or after deleting it now where both cannot exist."""
        began = time.monotonic()
        old, kind, wanted = item.old, item.kind, item.registration
        assert old is not None  # noqa: S101 — only what exists is replaced
        if old.protect:
            raise ResourceProtected(
                f"{wanted.label} is protected and would have to be replaced; set protect=False and run up first."
            )
        changes = self._changes(worker, item)
        before = decisions.deletes_before_replacing(kind, old, item.record.inputs, wanted.delete_before_replace)
        inputs, autonamed = item.record.inputs, item.record.autonamed
        if autonamed and kind.row.autoname is not None and not old.tainted:
            inputs = inputs | {autonamed: autoname(kind.row.autoname, wanted.name, inputs)}
        record = replace(item.record, inputs=inputs, outputs={}, held=None, id="")
        fresh = self._plan(worker, kind, record, None, wanted)
        if self.dry_run:
            record = self._preview(worker, kind, fresh.record, fresh.plan)
        else:
            worker.reporter.started(step_of("replace", record, changes=changes))
            record = self._carry_out_replacement(worker, old, fresh, before=before)
        worker.reporter.finished(
            step_of("replace", record, old=item.record.outputs, new=record.outputs, changes=changes, began=began)
        )
        return record

    def _carry_out_replacement(self, worker: Worker, old: Record, fresh: _Wanted, *, before: bool) -> Record:
        if before:
            delete_dependents(worker, old, self.seen)
            worker.delete(old)
            return worker.create(fresh.kind, fresh.record, fresh.plan, fresh.config)
        worker.state.condemn(old)
        try:
            return worker.create(fresh.kind, fresh.record, fresh.plan, fresh.config)
        except ProviderDiagnostics:
            if worker.state.get(fresh.record.urn) is None:  # nothing came of it: the old one stays in use
                worker.state.forget(old)
                worker.state.put(old)
                worker.state.save()
            raise

    def _keep(self, worker: Worker, record: Record, old: Record | None) -> None:
        with self._idle:
            self._seen[record.urn] = record
        if not self.dry_run:
            worker.state.put(record, instead_of=old)

    def _preview(self, worker: Worker, kind: Kind, record: Record, plan: Plan) -> Record:
        """The record as it would be after `plan`."""
        return worker.bridge.completed(kind, record, _held(kind, plan.state or {}, plan.private))

    def _changes(self, worker: Worker, item: _Wanted) -> tuple[Change, ...]:
        """What differs, leaving out what the provider will only compute."""
        kind, planned = item.kind, item.plan.state or {}
        computed = {f for f, value in planned.items() if value is UNKNOWN and item.config.get(f) is None}
        old = {f: value for f, value in (item.prior or {}).items() if f not in computed}
        new = {f: value for f, value in planned.items() if f not in computed}
        forcing = decisions.replaced_fields(item.prior, planned, item.plan.replaces)
        return diff.changes(
            worker.bridge.outputs(kind, old, {}),
            worker.bridge.outputs(kind, new, {}),
            secrets=item.record.secrets | worker.bridge.sensitive(kind, new),
            replaces=frozenset(map(kind.property_of, forcing)),
        )


def _held(kind: Kind, fields: Fields, private: bytes) -> Held:
    return Held(terraform=kind.schema.name, version=kind.schema.version, fields=fields, private=private)


def _named(kind: Kind, name: str, inputs: Fields, old: Record | None) -> tuple[Fields, str]:
    """`inputs` with a name if the program gave none, and the property that the engine named."""
    rule = kind.row.autoname
    if rule is None:
        return inputs, ""
    property_ = kind.property_of(rule.field)
    if property_ in inputs or f"{property_}Prefix" in inputs:
        return inputs, ""
    if old is not None and old.autonamed == property_:
        return inputs | {property_: old.inputs[property_]}, property_
    return inputs | {property_: autoname(rule, name, inputs)}, property_


def _ignoring(kind: Kind, plan: Plan, prior: Fields, paths: tuple[str, ...]) -> Plan:
    """`plan` without changes to ignored top-level properties, those included that only the provider sets."""
    ignored = {kind.names.to_terraform[path] for path in paths if path in kind.names.to_terraform}
    if not ignored or plan.state is None:
        return plan
    state = {field: prior.get(field) if field in ignored else value for field, value in plan.state.items()}
    return replace(plan, state=state, replaces=tuple(path for path in plan.replaces if path[0] not in ignored))
