"""`petpark data report`, and the quality in the output of `petpark data ingest`."""

from __future__ import annotations

import webbrowser
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from petpark.app import example, invocation
from petpark.data import datasets, quality_reports
from petpark.output.console import Output
from petpark.output.formats import bad, good, short
from petpark.output.table import Cell

if TYPE_CHECKING:
    from training.quality.report import QualityReport

_NAMED = 3


def report(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Dataset hash, or a unique prefix.")],
    gates: Annotated[
        list[str] | None, typer.Option("--gate", help="Override a limit, as name=value: label_noise, leaks, days, …")
    ] = None,
    skip_labels: Annotated[
        bool,
        typer.Option("--skip-labels", help="Skip what needs training: doubtful labels and comparison by embedding."),
    ] = False,
    model: Annotated[
        int | None,
        typer.Option("--model", metavar="VERSION", help="Version whose embeddings are used to compare photos."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Output path of the HTML page.")] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the HTML page in a browser.")] = False,
) -> None:
    """Report a dataset's quality: five characteristics, the photos concerned, and how to fix them."""
    run = invocation(ctx)
    target = run.target()
    limits = datasets.data_gates(target, gates or ())
    with run.output.progress("Examining") as bar:
        made = quality_reports.report(
            target,
            dataset,
            gates=limits,
            labels=not skip_labels,
            model=model,
            progress=lambda what, done, of: bar(done, of, what),
        )
    path = (
        quality_reports.write_page(made, out or Path(f"quality-{short(made.report.dataset)}.html"))
        if out or show
        else None
    )
    if show and path is not None:
        webbrowser.open(path.resolve().as_uri())
    where = str(path) if path else f"s3://{target.outputs.data_lake}/{made.key}"
    if not (run.output.json and made.report.failed):  # then the error is the one document
        table(run.output, made.report, facts={**facts(made.report), "report": made.number, "page": where})
    run.output.note(f"The page: {where}")
    quality_reports.require(made, where=where)


def table(output: Output, found: QualityReport, *, facts: object) -> None:
    """Print the five: verdict, what was found, what to do."""
    output.table(("", "characteristic", "verdict", "what was found", "what to do"), _rows(found), facts=facts, empty="")


def verdict(found: QualityReport) -> str:
    """What ingestion could see of quality, and how to learn the rest."""
    wanting = "; ".join(f"{result.asked}, found {result.found}" for result in found.failed)
    summary = f"failed: {wanting}" if wanting else "passes all checks of the manifest"
    return f"{summary}. Full report: petpark data report {short(found.dataset)}"


def facts(found: QualityReport) -> dict[str, object]:
    """For programs: the verdicts, the measures, the gates, and how many photos each finding has."""
    return {
        "dataset": found.dataset,
        "refused": bool(found.failed),
        "verdicts": {part.name: found.verdict(part.name) for part in found.characteristics},
        "measures": found.measures,
        "gates": [asdict(result) for result in found.results],
        "findings": {
            finding.name: {"photos": finding.total, "first": [each.key for each in finding.photos[:_NAMED]]}
            for part in found.characteristics
            for finding in part.findings
        },
    }


def _rows(found: QualityReport) -> list[tuple[Cell, ...]]:
    marks = {"passed": good("✓"), "refused": bad("✗")}
    blamed = {finding.name for finding in found.blamed()}
    return [
        (
            marks.get(found.verdict(part.name), Text("–")),
            part.name.value,
            found.verdict(part.name),
            part.summary,
            "; ".join(
                f"{finding.title}, {finding.total}: {finding.says}"
                for finding in part.findings
                if not blamed or finding.name in blamed
            )
            or "nothing",
        )
        for part in found.characteristics
    ]


def register(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command(
        "report",
        epilog=example(
            "petpark data report 3fa9 --open", "petpark data report 3fa9 --gate days=30 --gate label_noise=0.05"
        ),
    )(report)
