"""`petpark models fsck` and `petpark models gc`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petpark.app import Invocation, example, invocation
from petpark.commands.formatting import details
from petpark.errors import NOT_SO
from petpark.models import maintenance
from petpark.output.console import Line
from petpark.output.formats import bad, good, plural, short, size
from petpark.targets.target import Target

if TYPE_CHECKING:
    from registry.logs.repairs import Repair
    from registry.maintenance.fsck import Inspection
    from registry.maintenance.garbage_collection import Garbage
    from registry.store.object_info import Stored

_SHOWN = 20
"""Maximum findings that are printed; --json prints all of them."""


def fsck(
    ctx: typer.Context,
    deep: Annotated[bool, typer.Option("--deep", help="Also read and hash every file (slow).")] = False,
) -> None:
    """Check every object of the registry, and the bucket's version history.

    Damage breaks a guarantee; a trace shows an object that should not exist. Read-only. Exits with 1 if
    there is either.
    """
    from registry.maintenance.fsck import Severity

    run = invocation(ctx)
    target = run.target()
    with run.output.progress("Inspecting") as report:
        seen = maintenance.inspect(target, deep=deep, progress=report)
    findings = sorted(seen.findings, key=lambda finding: list(Severity).index(finding.severity))
    shown = findings[:_SHOWN] if run.output.out.is_terminal else findings
    lines = [
        Line(
            mark=bad("✗"),
            what=finding.severity,
            found=bad(finding.error.outcome),
            details={"where": finding.where, **details(finding.error)},
        )
        for finding in shown
    ]
    run.output.lines([*lines, _summary(target, seen, deep=deep)], facts=_facts(seen, deep=deep))
    if len(findings) > len(shown):
        run.output.note(f"{len(findings) - len(shown)} more findings: --json lists all of them.")
    if seen.unused:
        unused = f"{plural(seen.unused, 'file')} ({size(seen.unused_bytes)})"
        run.output.note(f"No version uses {unused}: petpark models gc --dry-run")
    if not seen.sound:
        raise typer.Exit(NOT_SO)


def gc(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Delete files that no version uses and that are older than seven days, as the stack's collector.

    Newer files are kept: a publish in progress may need them. The bucket keeps a revision of each deleted file, so it
    can be restored.
    """
    run = invocation(ctx)
    target = run.target()
    with run.output.progress("Looking for unused files"):
        garbage = maintenance.find_garbage(target)
    if not run.output.json:
        _explain(run, garbage)
    removed: list[Stored] = []
    if garbage.old and not dry_run:
        if not yes and not run.output.confirm(f"Remove {plural(len(garbage.old), 'file')}?"):
            run.output.err.print("Nothing was removed.")
            raise typer.Exit(NOT_SO)
        removed = _collect(run, target, garbage)
    facts = {
        "dry_run": dry_run,
        "collectable": {**_amount(garbage.old), "keys": [blob.key for blob in garbage.old]},
        "young": {**_amount(garbage.young), "stay_until_older_than_days": _grace_days()},
        "removed": _amount(removed),
    }
    if run.output.json:
        run.output.document(facts)
    elif garbage.old and not dry_run:
        run.output.out.print(f"Removed {_amount_text(removed)}.")


def repair(
    ctx: typer.Context,
    why: Annotated[str, typer.Option("--why", help="Reason, kept in the registry.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Declare invalid objects void that block a log, as the stack's repairer.

    Nothing is deleted: a record states which object, by whom and why, and readers of the registry skip it. If the
    bucket's history shows that an object was deleted or rewritten, restore that first.
    """
    run = invocation(ctx)
    target = run.target()
    done: list[Repair] = []
    while found := maintenance.obstacles(target):
        for each in found:
            sentence = f"{each.key} (sha256 {short(each.sha256)}): {each.problem.actual}"
            run.output.err.print(sentence, markup=False, soft_wrap=True)
        if not yes and not run.output.confirm(f"Declare {plural(len(found), 'object')} void?"):
            run.output.err.print("Nothing else was declared void.")
            raise typer.Exit(NOT_SO)
        done += maintenance.declare_void(target, found, why=why)
    rows = [(str(each.number), each.key, each.by, each.why) for each in done]
    run.output.table(
        ("repair", "object", "by", "why"),
        rows,
        facts=[asdict(each) for each in done],
        empty="No log is blocked.",
    )


def _summary(target: Target, seen: Inspection, *, deep: bool) -> Line:
    counts = ", ".join(
        plural(count, thing)
        for count, thing in (
            (seen.versions, "version"),
            (seen.moves, "move"),
            (seen.certificates, "certificate"),
            (seen.blobs, "file"),
        )
    )
    unused = f"; {seen.unused:,} files unused ({size(seen.unused_bytes)})" if seen.unused else ""
    looked = f"{counts}, {size(seen.bytes)}{unused}" + ("; every byte read" if deep else "")
    found = good("sound") if seen.sound else bad(plural(len(seen.findings), "finding"))
    return Line(mark=good("✓") if seen.sound else bad("✗"), what=target.outputs.model, found=found + f": {looked}")


def _facts(seen: Inspection, *, deep: bool) -> Mapping[str, Any]:
    counted = ("versions", "moves", "certificates", "blobs", "bytes", "unused", "unused_bytes", "repairs")
    return {
        "sound": seen.sound,
        "deep": deep,
        **{name: getattr(seen, name) for name in counted},
        "findings": [
            {"severity": found.severity, "where": found.where, **found.error.to_dict()} for found in seen.findings
        ],
    }


def _explain(run: Invocation, garbage: Garbage) -> None:
    says = [f"Removable: {_amount_text(garbage.old)} used by no version." if garbage.old else "Nothing to remove."]
    if garbage.young:
        needed = "it" if len(garbage.young) == 1 else "them"
        kept = f"{_amount_text(garbage.young)} used by no version, but younger than {_grace_days()} days"
        says.append(f"Stays:  {kept}; a publish in progress may need {needed}.")
    run.output.out.print("\n".join(says), soft_wrap=True)


def _collect(run: Invocation, target: Target, garbage: Garbage) -> list[Stored]:
    removed: list[Stored] = []
    with run.output.progress("Removing") as report:
        for blob in maintenance.collect(target, garbage):
            removed.append(blob)
            report(len(removed), len(garbage.old))
    return removed


def _grace_days() -> int:
    from registry.versions.upload import GRACE

    return GRACE.days


def _amount(blobs: Sequence[Stored]) -> dict[str, int]:
    return {"files": len(blobs), "bytes": sum(blob.bytes for blob in blobs)}


def _amount_text(blobs: Sequence[Stored]) -> str:
    return f"{plural(len(blobs), 'file')} ({size(sum(blob.bytes for blob in blobs))})"


def register(app: typer.Typer) -> None:
    """Add the commands to their group."""
    app.command("fsck", epilog=example("petpark models fsck", "petpark models fsck --deep --json"))(fsck)
    app.command("repair", epilog=example('petpark models repair --why "written by hand, by mistake"'))(repair)
    app.command("gc", epilog=example("petpark models gc --dry-run", "petpark models gc --yes"))(gc)
