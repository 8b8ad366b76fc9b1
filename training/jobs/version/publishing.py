"""The end of a job: the report on its model, and the version that is published with it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Final

from registry.errors import NumberTaken
from registry.gates import State, states
from registry.layout.model_store import blob_key
from registry.version import Version
from registry.versions.catalog import LOOK_BACK, Catalog
from training.dataset.manifest import Manifest
from training.errors import JobCancelled
from training.evaluation.assess import Assessment
from training.evaluation.gates import TO_MEASURE, GateResult, as_metrics
from training.evaluation.reporting.report import Report, write_model_card, write_report
from training.evaluation.selective.abstaining import AbstentionFigures
from training.job import epoch_records, find_result
from training.jobs.context import JobContext
from training.jobs.version.sbom import write_sbom

_REPORT: Final = "report.html"


def publish(
    context: JobContext,
    manifest: Manifest,
    files: dict[str, Path],
    assessment: Assessment,
    gates: tuple[GateResult, ...],
    abstained: AbstentionFigures | None,
) -> Version:
    """Write the report and publish the version. Raises `JobCancelled` for a job that was cancelled meanwhile."""
    if find_result(context.workspace, context.job):  # one small read, so that a cancelled job publishes nothing
        raise JobCancelled("the job was cancelled while it ran; nothing was published")
    metrics = assessment.metrics() | as_metrics(gates) | (abstained.metrics() if abstained else {})
    version = None
    for number in _numbers(context):
        files |= _write_report_files(context, number, manifest, assessment, gates, metrics, abstained)
        with suppress(NumberTaken):  # another job was faster and its report names this number: try the next one
            version = context.catalog.publish(
                files, labels=manifest.labels, metrics=metrics, lineage=context.lineage(), number=number
            )
            break
    assert version is not None  # noqa: S101 - numbers do not end
    context.report("evaluated", metrics)
    context.report("published", {"version": version.number, "digest": version.digest})
    return version


def _numbers(context: JobContext) -> Iterator[int]:
    """Candidate numbers for the version: first the one under which this job has published already, if any.

    An instance may end between publishing and recording the result. Its successor then uses the same number.
    """
    yield from (version.number for version in context.catalog.recent(LOOK_BACK) if version.lineage == context.lineage())
    while True:
        yield context.catalog.next_number()


def _write_report_files(
    context: JobContext,
    number: int,
    manifest: Manifest,
    assessment: Assessment,
    gates: tuple[GateResult, ...],
    metrics: Mapping[str, float],
    abstained: AbstentionFigures | None,
) -> dict[str, Path]:
    """Write metrics, report, model card and bill of materials of version `number`."""
    evaluation = assessment.evaluation
    contents = {
        "metrics.json": metrics,
        "confusion.json": {"labels": [each.label for each in evaluation.classes], "counts": evaluation.confusion},
        "evaluation.json": {
            **assessment.facts(),
            "gates": [asdict(gate) for gate in gates],
            "abstention": asdict(abstained) if abstained else None,
        },
    }
    for name, content in contents.items():
        (context.directory / name).write_text(json.dumps(content, indent=1))
    report = Report(
        title=f"{context.catalog.model}, version {number}",
        job=context.job,
        assessment=assessment,
        gates=gates,
        epochs=epoch_records(context.workspace, context.job)[0],
        counts=manifest.counts(),
        hyper_parameters=asdict(context.spec.hyper_parameters),
        lineage=context.lineage(),
        abstained=abstained,
    )
    write_report(report, context.directory / _REPORT)
    write_model_card(report, context.directory / "model-card.md")
    write_sbom(
        context.directory / "sbom.cdx.json",
        model=context.catalog.model,
        job=context.job,
        weights=context.packaged_weights,
    )
    return {name: context.directory / name for name in (*contents, _REPORT, "model-card.md", "sbom.cdx.json")}


def find_version(catalog: Catalog, job: str) -> Version | None:
    """Returns the version that a job published; None if it has not."""
    return next((version for version in reversed(catalog.readable()) if version.lineage.get("run") == job), None)


def report_address(version: Version, model_store: str | None) -> str | None:
    """Returns the address of a version's report in the bucket `model_store`."""
    file = version.file(_REPORT)
    if model_store is None or file is None:
        return None
    return f"s3://{model_store}/{blob_key(version.model, file.sha256)}"


def gates_message(version: Version) -> str | None:
    """Returns a sentence that names the gates that the version did not pass; None if it passed all."""
    names = {state: [name for name, each in states(version.metrics).items() if each is state] for state in State}
    parts = (f"gates {state}: {', '.join(names[state])}" for state in (State.FAILED, State.UNMEASURED) if names[state])
    ways = (TO_MEASURE[name] for name in names[State.UNMEASURED] if name in TO_MEASURE)
    if text := "; ".join((*parts, *(f"to measure it: {way[0].lower()}{way[1:]}" for way in ways))):
        return f"{text}; the report of version {version.number} says what to try"
    return None
