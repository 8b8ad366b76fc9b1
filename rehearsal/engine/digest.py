"""An operation's report in the shape of the official CLI's `pulumi preview --json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rehearsal.engine.events import Step, Update


def of(update: Update) -> dict[str, Any]:
    """The report as JSON data; unchanged resources are counted and not listed, as in the official one."""
    digest: dict[str, Any] = {
        "config": dict(update.config),
        "steps": [_step(step) for step in update.steps if step.op != "same"],
        "duration": round(update.seconds * 1e9),
        "changeSummary": dict(update.changes),
    }
    if update.errors:
        digest["diagnostics"] = [{"message": error, "severity": "error"} for error in update.errors]
    return digest


def _step(step: Step) -> dict[str, Any]:
    entry: dict[str, Any] = {"op": step.op, "urn": step.urn}
    if step.old is not None:
        entry["oldState"] = _state(step, step.old)
    if step.new is not None:
        entry["newState"] = _state(step, step.new) | {"inputs": dict(step.inputs or {})}
    if step.changes:
        tops = [change.path.split(".")[0].split("[")[0] for change in step.changes]
        entry["diffReasons"] = sorted(set(tops))
        forcing = {top for top, change in zip(tops, step.changes, strict=True) if change.kind.endswith("-replace")}
        if forcing:
            entry["replaceReasons"] = sorted(forcing)
        entry["detailedDiff"] = {change.path: {"kind": change.kind, "inputDiff": False} for change in step.changes}
    return entry


def _state(step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
    state = {"urn": step.urn, "custom": step.custom, "id": step.id, "type": step.type, "parent": step.parent}
    return state | {"outputs": dict(values)}
