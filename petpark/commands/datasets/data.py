"""`petpark data`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from petpark.app import Invocation, example, group, invocation
from petpark.commands.datasets import dataset_changes, dataset_diff, dataset_quality
from petpark.data import datasets, quality_reports
from petpark.output.formats import bad

if TYPE_CHECKING:
    from training.dataset.ingest import Ingestion
    from training.quality.report import QualityReport

app = group("Datasets in the data lake.")
dataset_changes.register(app)
dataset_diff.register(app)
dataset_quality.register(app)


class SplitUnit(StrEnum):
    """What stays together in one split.

    The same values as training's `SplitBy`, repeated here so that `--help` need not import it.
    """

    CAMERA = "camera"
    DAY = "day"
    PHOTO = "photo"


@app.command(
    "ingest",
    epilog=example(
        "petpark data ingest photos/",
        "petpark data ingest s3://park/2026-03/ --index s3://park/2026-03.csv --base 3fa9",
        "petpark data ingest s3://park/photos.tar.gz --json",
        "petpark data ingest oxford-iiit-pet",
    ),
)
def ingest(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="Folder or tar archive, local or s3://bucket/…, with one subfolder per class; or oxford-iiit-pet "
            "(oxford-iiit-pet/breeds), a public data set that torchvision downloads."
        ),
    ],
    seed: Annotated[int, typer.Option("--seed", help="Random seed of the split into train, validation and test.")] = 0,
    index: Annotated[
        str | None,
        typer.Option(
            "--index",
            help="CSV or JSONL with key, label, camera, captured_at. Folder names are then not used as classes.",
        ),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option("--group", help="Another column of the index to report metrics by, such as breed. Repeatable."),
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", help="Dataset to extend; its photos stay in their splits.")
    ] = None,
    split_by: Annotated[
        SplitUnit,
        typer.Option(
            "--split-by",
            help="What stays in one split: all photos of a camera (needs ten or "
            "more), of a camera and day, or single photos.",
        ),
    ] = SplitUnit.CAMERA,
) -> None:
    """Validate, deduplicate and split photos into one immutable dataset. Unreadable photos are counted and listed."""
    run = invocation(ctx)
    target = run.target()
    with run.output.progress("Ingesting photos") as report:
        found = datasets.ingest(
            target, source, seed=seed, progress=report, index=index, groups=groups or [], split_by=split_by, base=base
        )
    seen = quality_reports.glance(target, found, gates=datasets.data_gates(target))
    _show_ingested(run, found, seen, terms=datasets.terms(source))


def _show_ingested(run: Invocation, found: Ingestion, seen: QualityReport, *, terms: str | None) -> None:
    skipped = [{"path": str(path), "reason": reason} for path, reason in found.skipped]
    facts = {
        "dataset": found.sha256,
        "photos": len(found.manifest.photos),
        "added": found.added,
        "skipped": skipped,
        "quality": dataset_quality.facts(seen),
    }
    facts |= {"terms": terms} if terms else {}
    fields = {
        "dataset": found.sha256,
        "photos": str(len(found.manifest.photos)),
        "new": str(found.added),
        "skipped": str(len(skipped)),
        "quality": dataset_quality.verdict(seen),
    }
    fields |= {"terms": terms} if terms else {}
    fields |= {f"  {entry['path']}": entry["reason"] for entry in skipped}
    run.output.record(fields, facts=facts)
    run.output.note(
        f"Next: petpark data report {found.sha256[:12]}, then petpark train --dataset {found.sha256[:12]} --watch"
    )


@app.command("list", epilog=example("petpark data list"))
def list_datasets(ctx: typer.Context) -> None:
    """List datasets with their photos, labels and splits."""
    run = invocation(ctx)
    target = run.target()
    with run.output.progress("Reading manifests"):
        found = datasets.summaries(target)
    run.output.table(
        ("dataset", "photos", "labels", "splits"),
        [
            (entry.sha256[:16], bad("unreadable"), bad(entry.problem), "")
            if entry.problem
            else (entry.sha256[:16], str(entry.photos), _counts(entry.labels), _counts(entry.splits))
            for entry in found
        ],
        facts={"datasets": [asdict(entry) for entry in found]},
        empty="No dataset yet. Create one: petpark data ingest DIR",
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
