"""`petpark models`: versions and their details. The group's other commands have their own modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petpark.app import example, group, invocation
from petpark.commands.formatting import Named, accuracy, brief, measured, show_proofs
from petpark.commands.registry import comparison, history, lineage, maintenance, past
from petpark.errors import NOT_SO
from petpark.models import model_versions
from petpark.models.model_versions import Judged, Overview, Standing, Validity
from petpark.output.console import Columns, Section
from petpark.output.formats import bad, good, moment, short, size
from petpark.output.table import Cell
from registry.gates import State, figures, states
from registry.identity import person

if TYPE_CHECKING:
    from registry.channels.channel import ChannelEntry
    from registry.errors import RegistryError

app = group("The registry: versions, channels, certificates.")


@app.command("list", epilog=example("petpark models list", "petpark models list --last 50 --json"))
def list_versions(
    ctx: typer.Context,
    last: Annotated[int, typer.Option("--last", help="Maximum number to list, newest first.", min=1)] = 20,
    everything: Annotated[bool, typer.Option("--all", help="List all versions.")] = False,
) -> None:
    """List the newest versions, their certificates, and each channel's active version."""
    run = invocation(ctx)
    with run.output.progress("Reading the registry"):
        found = model_versions.overview(run.target(), last=None if everything else last)
    run.output.table(
        ("version", "digest", "created (UTC)", "accuracy", "decision", "channels", "dataset"),
        sorted(
            [
                *(_row(entry) for entry in found.standings),
                *(_broken(number, problem) for number, problem in found.problems.items()),
            ],
            key=lambda row: int(str(row[0])),
            reverse=True,
        ),
        facts=_overview_facts(found),
        empty="No version yet. Train one: petpark train --dataset SHA",
    )
    if not run.output.json and found.heads:
        run.output.out.print()
        columns = ("channel", "version", "since (UTC)", "moved by", "why")
        run.output.table(columns, [_head(name, move) for name, move in found.heads.items()], facts=None, empty="")
    listed = len(found.standings) + len(found.problems)
    if found.total > listed:
        run.output.note(f"The newest {listed} of {found.total} versions; --last N or --all show more.")


@app.command("show", epilog=example("petpark models show 12"))
def show(ctx: typer.Context, version: Named) -> None:
    """Show one version: files, metrics, origin, every decision about it, and where to read more."""
    run = invocation(ctx)
    target = run.target()
    found = model_versions.standing(target, model_versions.resolve(target, version))
    told = found.version
    gates = states(told.metrics)
    sections: dict[str, Section] = {
        told.title: {
            "digest": told.digest,
            "created": f"{moment(told.created_at)} UTC",
            "labels": ", ".join(told.labels),
            "in force on": ", ".join(found.channels) or "no channel",
            "decision": _decision(found.decision),
        },
        "Metrics": measured(figures(told.metrics)),
        "Gates": {name: good(state) if state is State.PASSED else bad(state) for name, state in gates.items()},
        "Origin": {name: brief(value) for name, value in told.lineage.items()},
        "Files": Columns(
            ("name", "size", "sha256"), [(file.name, size(file.bytes), short(file.sha256)) for file in told.files]
        ),
        "Decisions": {str(each.number): _judged(each) for each in found.certificates},
        "Next": {f"its {name}": command for name, command in _next(found).items()},
    }
    run.output.sections(sections, facts={**_facts(found), "next": _next(found)})


@app.command("report", epilog=example("petpark models report 12", "petpark models report 12 --out reports/"))
def report(
    ctx: typer.Context,
    version: Named,
    out: Annotated[
        Path | None, typer.Option("--out", help="Output file or folder. Default: MODEL-VERSION-report.html.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file that differs.")] = False,
) -> None:
    """Download a version's report, verify its hash, and print its path."""
    run = invocation(ctx)
    target = run.target()
    number = model_versions.resolve(target, version)
    found = model_versions.fetch_report(target, number, out, force=force)
    if run.output.json:
        run.output.document({"version": number, **asdict(found)})
    else:
        run.output.out.print(str(found.path), soft_wrap=True, markup=False)
    run.output.note(f"{size(found.bytes)}, sha256 {found.sha256}" + ("" if found.fetched else ", already there"))


@app.command("verify", epilog=example("petpark models verify 12"))
def verify(ctx: typer.Context, version: Named) -> None:
    """Verify every byte of a version, its certificate, and the channels that name it.

    Exits with 1 if something is wrong.
    """
    run = invocation(ctx)
    target = run.target()
    number = model_versions.resolve(target, version)
    with run.output.progress(f"Verifying version {number}"):
        proofs = model_versions.verify(target, number)
    sound = all(proof.ok for proof in proofs)
    facts = {"version": number, "sound": sound, "findings": [proof.to_dict() for proof in proofs]}
    show_proofs(run.output, proofs, facts=facts)
    if not sound:
        raise typer.Exit(NOT_SO)


for part in (comparison, lineage, history, past, maintenance):
    part.register(app)


def _row(entry: Standing) -> tuple[Cell, ...]:
    version = entry.version
    return (
        str(version.number),
        short(version.digest),
        moment(version.created_at),
        accuracy(version.metrics),
        _decision(entry.decision),
        ", ".join(entry.channels),
        short(version.lineage.get("dataset", "–")),
    )


def _broken(number: int, problem: RegistryError) -> tuple[Cell, ...]:
    return (str(number), "–", "–", "–", bad(f"unreadable: {problem.actual}"), "", "")


def _head(name: str, move: ChannelEntry) -> tuple[Cell, ...]:
    return (name, str(move.version), moment(move.at), person(move.by), move.why)


def _decision(decision: str) -> Cell:
    if decision == "certified":
        return good(decision)
    return bad(decision) if decision in {"refused", "revoked", "expired"} else decision


def _judged(each: Judged) -> Cell:
    told = each.certificate
    if told is None:
        return bad(f"{each.validity}: {each.problem.actual if each.problem else ''}")
    until = f" until {moment(told.expires_at)}" if told.expires_at and each.validity is Validity.IN_FORCE else ""
    report = f"report {short(told.report_sha256)}" if told.report_sha256 else "no report"
    sentence = f"{told.decision} by {person(told.by)} on {moment(told.at)}"
    line = f"{sentence}, {each.validity}{until}; {report}; {told.note or 'no note'}"
    if each.validity is not Validity.IN_FORCE:
        return line
    return good(line) if told.decision == "certified" else bad(line)


def _next(entry: Standing) -> dict[str, str]:
    number = entry.version.number
    commands = {
        "report": f"petpark models report {number}" if entry.version.file(model_versions.REPORT) else "",
        "lineage": f"petpark models lineage {number}",
        "proof": f"petpark models verify {number}",
    }
    return {name: command for name, command in commands.items() if command}


def _overview_facts(found: Overview) -> Mapping[str, Any]:
    return {
        "total": found.total,
        "versions": [_facts(entry) for entry in found.standings],
        "channels": {name: asdict(move) for name, move in found.heads.items()},
        "problems": {number: problem.actual for number, problem in found.problems.items()},
    }


def _facts(entry: Standing) -> Mapping[str, Any]:
    version = entry.version
    return {
        **version.to_dict(),
        "digest": version.digest,
        "channels": list(entry.channels),
        "decision": entry.decision,
        "certificates": [_judged_facts(each) for each in entry.certificates],
    }


def _judged_facts(each: Judged) -> Mapping[str, Any]:
    problem = each.problem
    return {
        "number": each.number,
        "validity": each.validity,
        **(asdict(each.certificate) if each.certificate else {}),
        "problem": None if problem is None else {"reason": problem.reason, **problem.to_dict()},
    }
