"""A stack's plan from the Pulumi CLI, from its saved output, or from recorded state; and what it is bound to."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from petpark.errors import PreviewUnreadable, PulumiFailed, PulumiMissing
from petpark.preview.plan import RECORDED, Plan
from petpark.preview.pulumi_json import read_plan
from petpark.preview.rules import checked
from petpark.targets import pulumi_cli

if TYPE_CHECKING:
    from infra.configuration.prices import PriceTable
    from petpark.preview.recorded.record import StackRecord

_SECONDS: Final = 1_200.0
"""Seconds. A preview reads data sources and starts the provider: minutes on a slow connection."""


def plan_by_pulumi(stack: str, root: Path, table: PriceTable) -> Plan:
    """Returns what `pulumi up` would do. A preview that ends with an error is a plan with the error in its `problems`.

    Raises `PulumiMissing`, `PulumiFailed`, `StackNotDeployed`, `PreviewUnreadable`.
    """
    cli = program()
    state = state_version(stack, root)  # before the preview: an update in between is then detected later
    # Unchanged resources too: some rules compare a resource with others.
    words = ("preview", "--json", "--show-sames", "--stack", stack)
    text = pulumi_cli.json_part(pulumi_cli.run(cli, *words, cwd=root, timeout=_SECONDS, partial=True))
    plan = read_plan(text, stack=stack, source=f"pulumi {pulumi_cli.version(cli)}")
    return replace(plan, rules=checked(text, root, stack, table), state=state)


def plan_from_file(stack: str, path: Path, root: Path, table: PriceTable) -> Plan:
    """Returns the plan in a file with the output of `pulumi preview --json`. Raises `PreviewUnreadable`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PreviewUnreadable(f"{path} cannot be read: {error.strerror}.", next_step="Name a file.") from None
    except UnicodeDecodeError:
        raise PreviewUnreadable(
            f"{path} is not text in UTF-8.", next_step=f"pulumi preview --json --stack {stack} > {path}, in UTF-8."
        ) from None
    text = pulumi_cli.json_part(text)
    plan = read_plan(text, stack=stack, source="pulumi preview --json")
    return replace(plan, rules=checked(text, root, stack, table))


def plan_from_record(record: StackRecord, root: Path, table: PriceTable) -> Plan:
    """Returns what the program would change in the recorded stack. Raises `RecordUnreadable`."""
    from petpark.preview.recorded import run

    done = run.preview(record, root)
    text = json.dumps(done.document)
    plan = read_plan(text, stack=record.stack, source=RECORDED)
    return replace(
        plan,
        rules=checked(text, root, record.stack, table),
        state=record.state,
        problems=(*plan.problems, *done.warnings),
        notes=(f"made from the state that was recorded after commit {record.commit}", *done.notes),
    )


def state_version(stack: str, root: Path) -> str:
    """Returns the number of the stack's last update; `none` before the first. Raises the errors of `plan_by_pulumi`."""
    words = ("stack", "history", "--json", "--page-size", "1", "--stack", stack)
    text = pulumi_cli.run(program(), *words, cwd=root, timeout=_SECONDS)
    try:
        found = json.loads(pulumi_cli.json_part(text) or "[]")
        return str(int(found[0]["version"])) if found else "none"
    except (ValueError, LookupError, TypeError, AttributeError):
        raise PulumiFailed(
            f"`pulumi stack history` of stack {stack} did not print JSON.",
            next_step=f"Run it by hand: pulumi {' '.join(words)}",
        ) from None


def checked_out(root: Path) -> tuple[str, str]:
    """Returns git's hashes of the checked-out commit and of its tree; empty without git.

    `+` after both means that files differ from them. A merge or squash has another commit and the same tree.
    """
    try:
        commit, tree = _git(root, "rev-parse", "HEAD", "HEAD^{tree}").split()
        changed = "+" if _git(root, "status", "--porcelain", "--untracked-files=no").strip() else ""
    except (OSError, ValueError, subprocess.SubprocessError):
        return "", ""
    return f"{commit}{changed}", f"{tree}{changed}"


def program() -> Path:
    """Returns the path of the Pulumi CLI. Raises `PulumiMissing`."""
    found = pulumi_cli.find()
    if found is None:
        raise PulumiMissing(
            "The Pulumi CLI is not on this machine; it makes the preview.",
            next_step="petpark doctor --install-pulumi, or without it: --recorded FILE",
        )
    return found


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=root, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=30
    ).stdout
