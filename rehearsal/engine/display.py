"""What an operation reports while it runs and when it ends, and the lines in which people read it. No secret is shown.

Three measures, each on its own: a step has no value of a property that is marked secret, a `Reporter` masks every
known secret in every text, and a `Mask` knows each secret in the spellings in which it may turn up.
"""

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from rehearsal.engine.errors import EngineError
from rehearsal.engine.state import Record, short_type

type Operation = Literal["preview", "up", "refresh", "destroy"]
type Op = Literal["same", "create", "update", "replace", "delete"]

SECRET_TEXT = "[secret]"  # noqa: S105 — what is shown instead of one
UNKNOWN_TEXT = "[unknown]"
# Shorter strings are part of ordinary words, and no secrets.
_SHORTEST = 4
# Inside other properties' values only unmistakable secrets are taken out: with "test" for a secret, half of what is
# shown would be blanked. The secret properties themselves are never shown, however short they are.
_UNMISTAKABLE = 8


@dataclass(frozen=True, kw_only=True)
class Change:
    """One property that differs; `kind` is as in the official CLI's detailed diff, with `-replace` if it forces one."""

    path: str
    kind: str
    old: Any = None
    new: Any = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """What was (or would be) done to one resource."""

    op: Op
    urn: str
    type: str
    name: str
    changes: tuple[Change, ...] = ()
    seconds: float = 0.0

    @classmethod
    def on(cls, record: Record, op: Op, *, changes: tuple[Change, ...] = (), began: float | None = None) -> "Step":
        """The step `op` on `record`; `began` is when it began on the monotonic clock."""
        seconds = 0.0 if began is None else time.monotonic() - began
        return cls(op=op, urn=record.urn, type=record.type, name=record.name, changes=changes, seconds=seconds)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened just now: a step `started`, `finished` or `failed`, a `message`, or `outputs`.

    `outputs`: the stack's own are known and can be read, though steps on which they do not depend may still go on.
    """

    kind: Literal["started", "finished", "failed", "message", "outputs"]
    text: str = ""
    severity: Literal["info", "warning", "error"] = "info"
    step: Step | None = None


@dataclass(frozen=True, kw_only=True)
class Update:
    """How an operation ended."""

    kind: Operation
    stack: str
    ok: bool
    changes: Mapping[str, int]
    outputs: Mapping[str, Any]
    steps: tuple[Step, ...]
    errors: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class StackResource:
    """A deployed resource, for drawing the architecture."""

    urn: str
    type: str
    name: str
    parent: str
    dependencies: tuple[str, ...]
    id: str
    outputs: Mapping[str, Any]


class DeploymentFailed(EngineError):
    """An operation ended with errors; `update` has what was done and what was not."""

    def __init__(self, update: Update) -> None:
        self.update = update
        super().__init__("\n".join(update.errors) or f"{update.kind} of stack {update.stack} failed")


class Mask:
    """Knows the secrets of an operation and takes them out of texts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: tuple[str, ...] = ()

    def learn(self, value: Any) -> None:
        """Remember every string inside `value` as secret, in the spellings in which it may turn up."""
        spellings = {spelling for text in _strings(value) for spelling in _spellings(text)}
        with self._lock:
            # Longest first: a secret that contains another is taken out whole.
            self._known = tuple(sorted({*self._known, *spellings}, key=lambda text: (-len(text), text)))

    def text(self, text: str, *, shortest: int = _SHORTEST) -> str:
        """`text` without any known secret of at least `shortest` characters."""
        for secret in self._known:
            if len(secret) >= shortest:
                text = text.replace(secret, SECRET_TEXT)
        return text

    def value(self, value: Any) -> Any:
        """`value` without unmistakable secrets in any string inside it."""
        if isinstance(value, str):
            return self.text(value, shortest=_UNMISTAKABLE)
        if isinstance(value, Mapping):
            return {str(self.value(key)): self.value(inner) for key, inner in value.items()}
        return [self.value(inner) for inner in value] if isinstance(value, list | tuple) else value


def _strings(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [text for inner in value for text in _strings(inner)]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return []
    return [str(value)] if len(str(value)) >= _SHORTEST else []


def _spellings(text: str) -> set[str]:
    """The string as it is, line by line (diagnostics quote lines), in JSON, in Python, and in base64."""
    lines = {line for line in text.splitlines() if len(line.strip()) >= _UNMISTAKABLE}
    encoded = base64.b64encode(text.encode(errors="surrogatepass")).decode()
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1], encoded} | lines


class Reporter:
    """One operation's report; every method may be called from any thread, the listener by one at a time."""

    def __init__(
        self, kind: Operation, stack: str, *, mask: Mask, listener: Callable[[Event], None] | None = None
    ) -> None:
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
        self._emit(Event(kind="started", step=self._masked(step)))

    def finished(self, step: Step) -> None:
        """A step is done; unchanged resources are counted and emit no event."""
        step = self._masked(step)
        with self._lock:
            self._steps.append(step)
        if step.op != "same":
            self._emit(Event(kind="finished", step=step))

    def failure(self, text: str, step: Step | None = None) -> None:
        """A step, or the operation, failed."""
        text = self.mask.text(text)
        with self._lock:
            if text in self._errors:  # one cause may stop several steps at once
                return
            self._errors.append(text)
        self._emit(Event(kind="failed", text=text, severity="error", step=self._masked(step) if step else None))

    def message(self, text: str, *, warning: bool = False) -> None:
        """Text for people; an empty one is dropped."""
        if text := self.mask.text(text.rstrip()):
            self._emit(Event(kind="message", text=text, severity="warning" if warning else "info"))

    def outputs_known(self) -> None:
        """The stack's outputs can be read from now on."""
        self._emit(Event(kind="outputs"))

    def update(self, outputs: Mapping[str, Any]) -> Update:
        """The report as it stands."""
        with self._lock:
            return Update(
                kind=self._kind,
                stack=self._stack,
                ok=not self._errors,
                changes=dict(Counter(step.op for step in self._steps)),
                outputs=outputs,
                steps=tuple(self._steps),
                errors=tuple(self._errors),
                seconds=time.monotonic() - self._began,
            )

    def _masked(self, step: Step) -> Step:
        masked = self.mask.value
        return replace(step, changes=tuple(replace(c, old=masked(c.old), new=masked(c.new)) for c in step.changes))

    def _emit(self, event: Event) -> None:
        if self._listener is not None:
            # A listener that fails, say on a closed terminal, must not stop a deployment half way.
            with self._lock, suppress(Exception):
                self._listener(event)


_SIGNS: Final[Mapping[Op, str]] = {"create": "+", "update": "~", "replace": "±", "delete": "-", "same": " "}
_STEPS: Final[tuple[Op, ...]] = ("create", "update", "replace", "delete")
_DOING: Final[Mapping[Op, str]] = {op: f"{op[:-1]}ing" for op in _STEPS}
_DONE: Final[Mapping[Op, str]] = {**{op: f"{op}d" for op in _STEPS}, "same": "unchanged"}
_FOUND: Final[Mapping[Op, str]] = {"update": "drifted", "delete": "gone", "same": "as recorded"}
_LONGEST_VALUE = 80


def lines(event: Event, kind: Operation) -> Iterator[str]:
    """The lines that show `event` of an operation `kind`."""
    step = event.step
    match event.kind:
        case "message":
            mark = "warning: " if event.severity == "warning" else ""
            yield from (f"  {mark}{line}" for line in event.text.splitlines())
        case "failed":
            seconds = f" after {step.seconds:.1f} s" if step is not None else ""
            first, *rest = event.text.splitlines() or [""]
            yield f"  ! failed{seconds}: {first}"
            yield from (f"      {line}" for line in rest)
        case "started" if step is not None:
            yield f"  {_SIGNS[step.op]} {_DOING[step.op]:<9} {short_type(step.type)} {step.name} …"
        case "finished" if step is not None:
            words: Mapping[Op, str] = {} if kind == "preview" else _FOUND if kind == "refresh" else _DONE
            took = f"  {step.seconds:.1f} s" if step.seconds and kind != "preview" else ""
            label = f"{short_type(step.type)} {step.name}"
            yield f"  {_SIGNS[step.op]} {words.get(step.op, step.op):<9} {label}{took}"
            yield from map(_change, step.changes)
        case _:
            pass


def summary(update: Update) -> Iterator[str]:
    """The last lines of an operation: the outputs, what failed, and how much was done."""
    if update.outputs and update.ok:
        yield "Outputs:"
        width = max(map(len, update.outputs))
        yield from (f"  {name:<{width}}  {_value(value)}" for name, value in update.outputs.items())
    words = {"preview": {op: f"to {op}" for op in _DOING} | {"same": "unchanged"}, "refresh": _FOUND}
    told = words.get(update.kind, _DONE)
    counts = ", ".join(f"{update.changes[op]} {told.get(op, op)}" for op in _DONE if update.changes.get(op))
    ending = "" if update.ok else f" — with {len(update.errors)} error{'s' if len(update.errors) > 1 else ''}"
    did = f"{counts or 'nothing to do'} in {update.seconds:.1f} s{ending}"
    yield f"{update.kind.capitalize()} of {update.stack}: {did}."


def _change(change: Change) -> str:
    kind, _, forces = change.kind.partition("-")
    note = "  (forces replacement)" if forces else ""
    match kind:
        case "add":
            return f"      + {change.path}: {_value(change.new)}{note}"
        case "delete":
            return f"      - {change.path}: {_value(change.old)}{note}"
        case _:
            return f"      ~ {change.path}: {_value(change.old)} => {_value(change.new)}{note}"


def _value(value: Any) -> str:
    if value in (SECRET_TEXT, UNKNOWN_TEXT):
        return str(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
