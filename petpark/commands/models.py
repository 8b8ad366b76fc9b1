"""`petpark models`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from petpark import models
from petpark.app import example, group, invocation
from petpark.errors import NOT_SO
from petpark.models import Standing
from petpark.output import Cell, bad, good, percent, short

app = group("The registry: versions, channels, certificates.")

Version = Annotated[int, typer.Argument(help="Number of the version.", min=1)]


@app.command("list", epilog=example("petpark models list", "petpark models list --json"))
def list_versions(ctx: typer.Context) -> None:
    """Show every version, where it serves, and what was decided about it."""
    run = invocation(ctx)
    found = models.standings(run.target())
    run.output.table(
        ("version", "digest", "created", "accuracy", "decision", "channels", "dataset"),
        [_row(entry) for entry in found],
        facts={"versions": [_facts(entry) for entry in found]},
        empty="No version yet: petpark train --dataset SHA",
    )


@app.command("show", epilog=example("petpark models show 12"))
def show(ctx: typer.Context, version: Version) -> None:
    """Show one version: its files, metrics, origin, and every decision about it."""
    run = invocation(ctx)
    found = models.standing(run.target(), version)
    told = found.version
    fields: dict[str, Cell] = {
        "version": f"{told.model} {told.number}",
        "digest": told.digest,
        "created": str(told.created_at),
        "labels": ", ".join(told.labels),
        "serves on": ", ".join(found.channels) or "no channel",
        "decision": _decision(found.decision),
    }
    fields |= {f"metric {name}": f"{value:g}" for name, value in told.metrics.items()}
    fields |= {f"from {name}": value for name, value in told.lineage.items()}
    fields |= {f"file {file.name}": f"{file.bytes:,} bytes, {short(file.sha256)}" for file in told.files}
    fields |= {
        f"certificate {n}": f"{c.decision} by {c.by}, until {c.expires_at or 'for good'}: {c.note}"
        for n, c in enumerate(found.certificates, 1)
    }
    run.output.record(fields, facts=_facts(found))


@app.command("history", epilog=example("petpark models history --channel prod"))
def history(
    ctx: typer.Context, channel: Annotated[str, typer.Option("--channel", help="The channel.")] = "prod"
) -> None:
    """Show every move of a channel: to which version, when, by whom and why."""
    run = invocation(ctx)
    moves = models.history(run.target(), channel)
    run.output.table(
        ("move", "version", "before", "at", "by", "why"),
        [
            (str(move.number), str(move.version), str(move.previous or "none"), str(move.at), move.by, move.why)
            for move in moves
        ],
        facts={"channel": channel, "moves": [asdict(move) for move in moves]},
        empty=f"Channel {channel} was never moved.",
    )


@app.command("verify", epilog=example("petpark models verify 12"))
def verify(ctx: typer.Context, version: Version) -> None:
    """Fetch a version and check every byte, its certificate and the channels that name it.

    Ends with 1 when something is wrong.
    """
    run = invocation(ctx)
    target = run.target()
    with run.output.progress(f"Verifying version {version}"):
        findings = models.verify(target, version)
    sound = all(finding.ok for finding in findings)
    run.output.table(
        ("", "what", "found"),
        [(good("✓") if finding.ok else bad("✗"), finding.what, finding.detail) for finding in findings],
        facts={"version": version, "sound": sound, "findings": [asdict(finding) for finding in findings]},
        empty="",
    )
    if not sound:
        raise typer.Exit(NOT_SO)


def _row(entry: Standing) -> tuple[Cell, ...]:
    version = entry.version
    accuracy = version.metrics.get("accuracy")
    return (
        str(version.number),
        short(version.digest),
        str(version.created_at),
        "–" if accuracy is None else percent(accuracy),
        _decision(entry.decision),
        ", ".join(entry.channels),
        short(version.lineage.get("dataset", "–")),
    )


def _decision(decision: str) -> Cell:
    if decision == "certified":
        return good(decision)
    return bad(decision) if decision in {"refused", "revoked"} else decision


def _facts(entry: Standing) -> Mapping[str, Any]:
    version = entry.version
    return {
        "number": version.number,
        "model": version.model,
        "digest": version.digest,
        "created_at": version.created_at,
        "labels": list(version.labels),
        "metrics": dict(version.metrics),
        "lineage": dict(version.lineage),
        "files": [asdict(file) for file in version.files],
        "channels": list(entry.channels),
        "decision": entry.decision,
        "certificates": [asdict(certificate) for certificate in entry.certificates],
    }
