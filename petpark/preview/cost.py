"""The cost of a change: a stack's settings before and after it, at list prices. Pure, except for reading a commit."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.configuration.stack_file import SettingsUnusable, read_stack
from petpark.errors import SettingsWrong
from petpark.preview.page import code, escape
from petpark.preview.plan import Cost, Costs, Plan

if TYPE_CHECKING:
    from infra.configuration.prices import PriceTable
    from infra.configuration.settings import StackSettings

_SECONDS: Final = 30
_PER: Final = {"month": "a month", "hour": "an hour"}


def settings_at(root: Path, base: str, stack: str) -> StackSettings | None:
    """Returns a stack's settings in commit `base`, or None if it had no file.

    Raises `SettingsWrong`, `SettingsUnusable`.
    """
    name = f"Pulumi.{stack}.yaml"
    if not base or base.startswith("-"):  # git would read it as an option
        raise SettingsWrong(f"{base!r} is not a commit.", next_step="Name one, such as origin/main.")
    shown = _git(root, "show", f"{base}:./{name}")
    if shown.returncode != 0:
        if _git(root, "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}").returncode != 0:
            raise SettingsWrong(
                f"{base} is not a commit here.",
                next_step="Fetch it: git fetch origin (--unshallow for an earlier one in a shallow clone), or name "
                "another.",
            )
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, name)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(shown.stdout)
        try:
            return read_stack(Path(folder), stack)
        except SettingsUnusable as error:
            raise SettingsUnusable(f"in commit {base}: {str(error).replace(str(file), name)}") from None


def costs(root: Path, stack: str, table: PriceTable, *, base: str | None, today: date) -> Costs:
    """Returns the stack's cost with the settings in `root`; with a `base`, also its cost before."""
    from infra.configuration import costs as computed
    from infra.configuration.prices import PriceUnknown, age_notes

    try:
        after = read_stack(root, stack)
        before = settings_at(root, base, stack) if base is not None else None
        changes = computed.compare(before or after, after, table)
        items = computed.monthly(after, table)
    except (SettingsUnusable, PriceUnknown) as error:
        return Costs(problem=" ".join(str(error).split()))
    return Costs(
        costs=tuple(
            Cost(component=each.component, before=each.before if before else None, after=each.after, unit=each.unit)
            for each in changes
        ),
        assumptions=tuple(f"{item.name}: {item.month:,.2f} ({item.assumption})" for item in items),
        notes=tuple(age_notes(table.region(after.region), today)),
    )


def section(plan: Plan) -> str:
    """Returns the page's section on one stack's cost, in Markdown."""
    title = f"### Cost of stack {escape(plan.stack)}"
    if plan.costs is None:
        return f"{title}\n\nNot computed: this plan was saved without it."
    if plan.costs.problem:
        return f"{title}\n\nNot computed: {code(plan.costs.problem[:500])}"
    return f"{title}\n\n{_table(plan.costs.costs)}\n\n{_assumptions(plan.costs)}"


def _table(costs: Sequence[Cost]) -> str:
    if any(each.before is None for each in costs):
        rows = ["| component | USD |", "|---|---:|"]
        rows += [f"| {escape(each.component)} | {each.after:,.2f} {_PER[each.unit]} |" for each in costs]
        return "\n".join(rows)
    monthly = [each for each in costs if each.unit == "month"]
    before, after = (sum(side) for side in zip(*((each.before or 0.0, each.after) for each in monthly), strict=True))
    rows = ["| component | USD before | after | difference |", "|---|---:|---:|---:|"]
    rows += [_row(escape(each.component), each.before or 0.0, each.after, each.unit) for each in monthly]
    rows.append(_row("**total**", before, after, "month"))
    rows += [
        _row(escape(each.component), each.before or 0.0, each.after, each.unit)
        for each in costs
        if each.unit != "month"
    ]
    return "\n".join(rows)


def _row(component: str, before: float, after: float, unit: str) -> str:
    difference = after - before
    shown = f"{difference:+,.2f}" if abs(difference) >= 0.005 else "–"  # half a cent
    return f"| {component}, {_PER[unit]} | {before:,.2f} | {after:,.2f} | {shown} |"


def _assumptions(costs: Costs) -> str:
    summary = "What each line assumes; without tax and discounts"
    lines = [f"- {escape(each)}" for each in costs.assumptions]
    notes = " ".join(map(escape, costs.notes))
    return "\n".join((notes, "", f"<details><summary>{summary}</summary>", "", *lines, "", "</details>"))


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise SettingsWrong(
            f"git, which has the settings before the change, could not be run: {error}.",
            next_step="Install git, or omit --base.",
        ) from None
