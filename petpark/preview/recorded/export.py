"""Makes the record of a stack in the deploy job: the exported state, and the results of data sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from petpark.errors import RecordIncomplete, RecordUnreadable
from petpark.preview import make
from petpark.preview.recorded import run, states
from petpark.preview.recorded.record import StackRecord
from petpark.targets import pulumi_cli

_SECONDS: Final = 300.0


def from_cli(stack: str, root: Path) -> tuple[states.State, str]:
    """Returns the state that the Pulumi CLI exports, and its version. Raises `PulumiMissing`, `PulumiFailed`, …"""
    text = pulumi_cli.run(make.program(), "stack", "export", "--stack", stack, cwd=root, timeout=_SECONDS)
    return states.read(pulumi_cli.json_part(text)), make.state_version(stack, root)


def from_file(file: Path) -> tuple[states.State, str]:
    """Returns an exported state from a file, and its version: the embedded engine's number, else a hash of its content.

    Other stacks of the embedded engine, to which the program may refer, are files of the same folder. Raises
    `RecordUnreadable`.
    """
    state = states.read(_text(file))
    if not state.version:
        return state, states.version_of(state.resources)
    others = {
        f"organization/{file.parent.name}/{other.stem}": states.read(_text(other)).outputs
        for other in sorted(file.parent.glob("*.json"))
        if other != file
    }
    return replace(state, references=others), state.version


def record(
    stack: str,
    root: Path,
    state: states.State,
    version: str,
    *,
    ask: run.Ask,
    models: Mapping[str, Any] | None = None,
) -> tuple[StackRecord, int]:
    """Returns the record, and the number of resources whose declaration differs from their deployment.

    The record has only the data sources that the program calls. Raises `RecordIncomplete`, and the errors of `ask`.
    """
    draft = StackRecord(
        project=_project(state, stack),
        stack=stack,
        state=version,
        commit=make.checked_out(root)[0] or "unknown",
        resources=state.resources,
        references=state.references,
        models=models,
    )
    done = run.preview(draft, root, ask=ask, use_provider=False)
    if errors := [each["message"] for each in done.document["diagnostics"]]:
        raise RecordIncomplete(
            f"The program ended with an error: {errors[0].strip()[:1000]}", next_step="Run it: pulumi preview"
        )
    changed = {step["urn"] for step in done.document["steps"] if step["op"] != "same"}
    return replace(draft, answers=done.answers, references=done.references), len(changed)


def _project(state: states.State, stack: str) -> str:
    """The project in the state's URNs. Raises `RecordUnreadable` for an empty state, or one of another stack."""
    if not state.resources:
        raise RecordUnreadable(f"Stack {stack} has no resources.", next_step=f"Deploy it: pulumi up --stack {stack}")
    named, project, _ = state.resources[0].urn.removeprefix("urn:pulumi:").split("::", 2)
    if named != stack:
        raise RecordUnreadable(
            f"This is the state of stack {named}, not of {stack}.", next_step=f"Pass --stack {named}, or another file."
        )
    return project


def _text(file: Path) -> str:
    try:
        return pulumi_cli.json_part(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecordUnreadable(f"{file} cannot be read: {error.strerror}.", next_step="Name a file.") from None
    except UnicodeDecodeError:
        raise RecordUnreadable(f"{file} is not text in UTF-8.", next_step="Name an exported state.") from None
