"""Plans as files, and other files that `petpark preview` writes."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from petpark.errors import FileInTheWay, PreviewUnreadable, SettingsWrong
from petpark.files import write_file
from petpark.preview.plan import (
    Checked,
    Cost,
    Costs,
    Figure,
    Finding,
    Models,
    Op,
    Plan,
    PropertyChange,
    ResourceChange,
    Violation,
)

_FORMAT: Final = 2

_OTHER_FILE: Final = "Name a file in a directory that you may write."
LARGEST: Final = 50_000_000
"""Maximum size of a plan's file in bytes: some thousand resources with their policies and user data."""


def save(plan: Plan, path: Path) -> None:
    """Write `plan` as JSON, for `load`. Raises `FileInTheWay`."""
    write(json.dumps({"format": _FORMAT, **asdict(plan)}, indent=1) + "\n", path)


def write(text: str, path: Path) -> None:
    """Write a file. Raises `FileInTheWay`."""
    write_file(text, path, next_step=_OTHER_FILE)


def append(text: str, path: Path) -> None:
    """Add to a file. Raises `FileInTheWay`."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _not_writable(path, str(error.strerror)) from None


def job_summary(environment: Mapping[str, str]) -> Path:
    """Returns the file that GitHub shows as a job's summary. Raises `SettingsWrong`.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary
    """
    if not environment.get("GITHUB_STEP_SUMMARY"):
        raise SettingsWrong("GITHUB_STEP_SUMMARY is not set.", next_step="Run this in a GitHub workflow, or set it.")
    return Path(environment["GITHUB_STEP_SUMMARY"])


def require_writable(path: Path) -> None:
    """Raises `FileInTheWay` if `write` could not write there."""
    try:
        if path.is_dir():
            raise _not_writable(path, "it is a directory")
        if not path.parent.is_dir():
            raise _not_writable(path, f"there is no directory {path.parent}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise _not_writable(path, "permission denied")
    except OSError as error:  # a name that is too long
        raise _not_writable(path, str(error.strerror)) from None


def load(path: Path) -> Plan:
    """Returns the plan in a file of `save`. A fork's run may have made it, so its content is not trusted.

    Raises `PreviewUnreadable`.
    """
    try:
        facts: Any = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= LARGEST else {}
        if facts.get("format") == _FORMAT:
            plan = Plan(
                stack=str(facts["stack"]),
                changes=tuple(_change(each) for each in _list(facts["changes"])),
                unchanged=_integer(facts["unchanged"]),
                source=str(facts["source"]),
                problems=tuple(map(str, _list(facts["problems"]))),
                notes=tuple(map(str, _list(facts["notes"]))),
                commit=str(facts["commit"]),
                tree=str(facts["tree"]),
                state=str(facts["state"]),
                rules=_rules(facts["rules"]),
                costs=_costs(facts["costs"]),
                models=_models(facts["models"]),
            )
            _ = plan.digest  # text that is not Unicode has none
            return plan
    except OSError as error:
        raise PreviewUnreadable(f"{path} cannot be read: {error.strerror}.", next_step="Name a file.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        pass
    raise PreviewUnreadable(
        f"{path} is not a plan that `petpark preview --save` wrote, or one of another version of petpark.",
        next_step="petpark preview --stack STACK --save FILE",
    )


def _rules(facts: Any) -> Checked | None:
    if facts is None:
        return None
    return Checked(
        violations=tuple(
            Violation(
                rule=str(each["rule"]),
                resource=str(each["resource"]),
                message=str(each["message"]),
                mandatory=each["mandatory"] is True,
            )
            for each in _list(facts["violations"])
        ),
        problem=str(facts["problem"]),
    )


def _costs(facts: Any) -> Costs | None:
    if facts is None:
        return None
    return Costs(
        costs=tuple(
            Cost(
                component=str(each["component"]),
                before=None if each["before"] is None else _amount(each["before"]),
                after=_amount(each["after"]),
                unit="hour" if each["unit"] == "hour" else "month",
            )
            for each in _list(facts["costs"])
        ),
        assumptions=tuple(map(str, _list(facts["assumptions"]))),
        notes=tuple(map(str, _list(facts["notes"]))),
        problem=str(facts["problem"]),
    )


def _models(facts: Any) -> Models | None:
    if facts is None:
        return None
    return Models(
        source=str(facts["source"]),
        before=str(facts["before"]),
        after=str(facts["after"]),
        figures=tuple(
            Figure(**{name: str(each[name]) for name in ("name", "before", "after", "difference")})
            for each in _list(facts["figures"])
        ),
        findings=tuple(
            Finding(text=str(each["text"]), serious=each["serious"] is True) for each in _list(facts["findings"])
        ),
        problem=str(facts["problem"]),
    )


def _amount(value: Any) -> float:
    if type(value) in (int, float) and math.isfinite(value):
        return float(value)
    raise TypeError(value)


def _not_writable(path: Path, why: str) -> FileInTheWay:
    return FileInTheWay(f"{str(path)[:200]} cannot be written: {why}.", next_step=_OTHER_FILE)


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    raise TypeError(value)


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    raise TypeError(value)


def _change(facts: Mapping[str, Any]) -> ResourceChange:
    return ResourceChange(
        op=Op(facts["op"]),
        urn=str(facts["urn"]),
        properties=tuple(
            PropertyChange(
                path=str(each["path"]),
                before=_text(each["before"]),
                after=_text(each["after"]),
                forces=bool(each["forces"]),
            )
            for each in _list(facts["properties"])
        ),
        protected=bool(facts["protected"]),
    )


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(value)
