"""What an operation tells, as lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rehearsal.engine.events import SECRET_TEXT, UNKNOWN_TEXT, Change, Event, Op, Operation, Step, Update
from rehearsal.engine.type_table import short_type

_SIGNS: Final[Mapping[Op, str]] = {"create": "+", "update": "~", "replace": "±", "delete": "-", "same": " "}
_DOING: Final[Mapping[Op, str]] = {
    "create": "creating",
    "update": "updating",
    "replace": "replacing",
    "delete": "deleting",
}
_DONE: Final[Mapping[Op, str]] = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "same": "unchanged",
}
_FOUND: Final[Mapping[Op, str]] = {"update": "drifted", "delete": "gone", "same": "as recorded"}
_LONGEST_VALUE = 80


def lines(event: Event, kind: Operation) -> Iterator[str]:
    """The lines that tell `event` of an operation `kind`."""
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
            yield f"  {_SIGNS[step.op]} {_DOING[step.op]:<9} {_label(step)} …"
        case "finished" if step is not None:
            yield _finished(step, kind)
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


def _finished(step: Step, kind: Operation) -> str:
    if kind == "preview":
        return f"  {_SIGNS[step.op]} {step.op:<9} {_label(step)}"
    words = _FOUND if kind == "refresh" else _DONE
    seconds = f"  {step.seconds:.1f} s" if step.seconds else ""
    return f"  {_SIGNS[step.op]} {words.get(step.op, step.op):<9} {_label(step)}{seconds}"


def _label(step: Step) -> str:
    return f"{short_type(step.type)} {step.name}"


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
