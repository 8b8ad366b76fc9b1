"""A stack's plan from the official CLI, what it is bound to, and plans as files."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from petpark.errors import FileInTheWay, PlanMoved, PreviewUnreadable, PulumiFailed, PulumiMissing, RecordUnreadable
from petpark.preview.plan import Checked, Op, Plan, PropertyChange, ResourceChange, Violation
from petpark.preview.pulumi_json import read_plan
from petpark.preview.rules import checked
from petpark.targets import pulumi_cli

if TYPE_CHECKING:
    from infra.configuration.prices import PriceTable

_SECONDS: Final = 1_200.0
"""A preview reads data sources and starts the provider: minutes on a slow connection."""
_FORMAT: Final = 1

LARGEST: Final = 50_000_000
"""Bytes of a plan's file: some thousand resources with their policies and user data."""


def plan_by_pulumi(stack: str, root: Path, table: PriceTable) -> Plan:
    """What `pulumi up` would do. Raises `PulumiMissing`, `PulumiFailed`, `StackNotDeployed`, `PreviewUnreadable`.

    A preview that ends with an error still is a plan, with the error among its `problems`.
    """
    cli = program()
    # Unchanged resources too: some rules compare a resource with others.
    words = ("preview", "--json", "--show-sames", "--stack", stack)
    text = pulumi_cli.json_part(pulumi_cli.run(cli, *words, cwd=root, timeout=_SECONDS, partial=True))
    plan = read_plan(text, stack=stack, source=f"pulumi {pulumi_cli.version(cli)}")
    return replace(plan, rules=checked(text, root, stack, table), state=state_version(stack, root))


def plan_from_file(stack: str, path: Path, root: Path, table: PriceTable) -> Plan:
    """The plan in a file with the output of `pulumi preview --json`. Raises `PreviewUnreadable`."""
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


def plan_from_record(stack: str, path: Path, root: Path, table: PriceTable) -> Plan:
    """What the program would change in the recorded stack. Raises `RecordUnreadable`."""
    from petpark.preview.recorded import record, run

    recorded = record.load(path)
    if recorded.stack != stack:
        raise RecordUnreadable(
            f"{path} is the record of stack {recorded.stack}.", next_step=f"Give --stack {recorded.stack}, or another."
        )
    done = run.preview(recorded, root)
    text = json.dumps(done.document)
    plan = read_plan(text, stack=stack, source="recorded state")
    return replace(
        plan,
        rules=checked(text, root, stack, table),
        state=recorded.state,
        problems=(*plan.problems, *done.warnings),
        notes=(f"made from the state that was recorded after commit {recorded.commit}", *done.notes),
    )


def state_version(stack: str, root: Path) -> str:
    """The number of the stack's last update; `none` before the first. Raises as `plan_by_pulumi`."""
    words = ("stack", "history", "--json", "--page-size", "1", "--stack", stack)
    text = pulumi_cli.run(program(), *words, cwd=root, timeout=_SECONDS)
    try:
        found = json.loads(pulumi_cli.json_part(text) or "[]")
        return str(found[0].get("version", "none")) if found else "none"
    except (ValueError, LookupError, TypeError, AttributeError):
        raise PulumiFailed(
            f"`pulumi stack history` of stack {stack} printed something else than JSON.",
            next_step=f"Run it by hand to see it: pulumi {' '.join(words)}",
        ) from None


def commit(root: Path) -> str:
    """The commit that is checked out, with `+` where files differ from it; `unknown` without git."""
    try:
        head = _git(root, "rev-parse", "HEAD").strip()
        return f"{head}+" if _git(root, "status", "--porcelain", "--untracked-files=no").strip() else head
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def save(plan: Plan, path: Path) -> None:
    """Write `plan` as JSON, for `load`. Raises `FileInTheWay`."""
    write(json.dumps({"format": _FORMAT, **asdict(plan)}, indent=1) + "\n", path)


def write(text: str, path: Path) -> None:
    """Write a file. Raises `FileInTheWay`."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _not_writable(path, str(error.strerror)) from None


def require_writable(path: Path) -> None:
    """Raise `FileInTheWay` if it is plain that `write` could not write there."""
    if path.is_dir():
        raise _not_writable(path, "it is a directory")
    if not path.parent.is_dir():
        raise _not_writable(path, f"there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise _not_writable(path, "permission denied")


def load(path: Path) -> Plan:
    """The plan in a file that `save` wrote; a fork's run may have made it, so nothing in it is trusted.

    Raises `PreviewUnreadable`.
    """
    try:
        facts: Any = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= LARGEST else {}
        if facts.get("format") == _FORMAT:
            plan = Plan(
                stack=str(facts["stack"]),
                changes=tuple(_change(each) for each in _list(facts["changes"])),
                unchanged=_whole(facts["unchanged"]),
                source=str(facts["source"]),
                problems=tuple(map(str, _list(facts["problems"]))),
                rules=_rules(facts.get("rules")),
                state=str(facts.get("state", ""))[:100],
                notes=tuple(map(str, _list(facts.get("notes", [])))),
            )
            _ = plan.digest  # text that is not Unicode has none
            return plan
    except OSError as error:
        raise PreviewUnreadable(f"{path} cannot be read: {error.strerror}.", next_step="Name a file.") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
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


def require_same(plan: Plan, expected: str, **facts: object) -> None:
    """Raise `PlanMoved`, with `facts`, unless `expected` is the plan's digest, as the page of the review has it."""
    if plan.digest != expected:
        raise PlanMoved(
            f"Stack {plan.stack}: this is not the plan that was reviewed. Its digest is {plan.digest}, reviewed was "
            f"{expected}. The program, the stack's state, or what AWS answers has changed since.",
            next_step="Review the new page: petpark preview --stack " + plan.stack,
            **facts,
        )


def digest_of(text: str) -> str:
    """A digest as a person gave it. Raises ValueError, which says what is expected."""
    digest = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ValueError(
            f"{text[:100]!r} is not the digest of a plan, which has 64 hexadecimal digits; copy all of them"
        )
    return digest


def _not_writable(path: Path, why: str) -> FileInTheWay:
    return FileInTheWay(f"{path} cannot be written: {why}.", next_step="Name a file in a directory that you may write.")


def _whole(value: Any) -> int:
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


def program() -> Path:
    """The Pulumi CLI. Raises `PulumiMissing`."""
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
