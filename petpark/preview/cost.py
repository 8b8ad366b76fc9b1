"""What a change costs: the stack's settings before and after it, at list prices. Pure, but for reading a commit."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.configuration.stack_file import SettingsUnusable, read_stack
from petpark.errors import SettingsWrong
from petpark.preview.page import code, escape

if TYPE_CHECKING:
    from infra.configuration.prices import PriceTable
    from infra.configuration.settings import StackSettings

_SECONDS: Final = 30
_PER: Final = {"month": "a month", "hour": "an hour"}


def settings_at(root: Path, base: str, stack: str) -> StackSettings | None:
    """The stack's settings in commit `base`; None if there was no file. Raises `SettingsWrong`, `SettingsUnusable`."""
    name = f"Pulumi.{stack}.yaml"
    if not base or base.startswith("-"):  # git would take it for an option
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


def section(root: Path, stack: str, table: PriceTable, *, base: str | None, today: date) -> str:
    """The page's part about one stack's cost, in Markdown; `base` None: only what it costs with the change."""
    from infra.configuration.prices import PriceUnknown

    title = f"### Cost of stack {escape(stack)}"
    try:
        after = read_stack(root, stack)
        before = settings_at(root, base, stack) if base is not None else None
        return f"{title}\n\n{_table(before, after, table)}\n\n{_assumptions(after, table, today)}"
    except (SettingsUnusable, PriceUnknown) as error:
        return f"{title}\n\nNot computed: {code(' '.join(str(error).split()))}"


def _table(before: StackSettings | None, after: StackSettings, table: PriceTable) -> str:
    from infra.configuration import costs

    changes = costs.compare(before or after, after, table)
    if before is None:
        rows = ["| component | USD |", "|---|---:|"]
        rows += [f"| {each.component} | {each.after:,.2f} {_PER[each.unit]} |" for each in changes]
        return "\n".join(rows)
    monthly = [each for each in changes if each.unit == "month"]
    total = costs.Change(
        component="**total**", before=sum(each.before for each in monthly), after=sum(each.after for each in monthly)
    )
    rows = ["| component | USD before | after | difference |", "|---|---:|---:|---:|"]
    for each in (*monthly, total, *(each for each in changes if each.unit != "month")):
        difference = each.after - each.before
        shown = f"{difference:+,.2f}" if abs(difference) >= 0.005 else "–"  # half a cent
        rows.append(f"| {each.component}, {_PER[each.unit]} | {each.before:,.2f} | {each.after:,.2f} | {shown} |")
    return "\n".join(rows)


def _assumptions(after: StackSettings, table: PriceTable, today: date) -> str:
    from infra.configuration import costs
    from infra.configuration.prices import age_notes

    prices = table.region(after.region)
    lines = [f"- {item.name}: {item.month:,.2f} ({item.assumption})" for item in costs.monthly(after, table)]
    notes = " ".join(age_notes(prices, today))
    summary = "What each line assumes; without tax and discounts"
    return "\n".join((notes, "", f"<details><summary>{summary}</summary>", "", *lines, "", "</details>"))


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise SettingsWrong(
            f"git, which has the settings before the change, could not be run: {error}.",
            next_step="Install git, or leave --base out.",
        ) from None
