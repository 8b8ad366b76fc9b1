"""`petpark test`."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petpark.app import example, invocation
from petpark.commands.formatting import named_option
from petpark.models import acceptance, model_versions, subjects
from petpark.output.console import Columns, Section
from petpark.output.formats import percent, plural
from petpark.output.table import Cell

if TYPE_CHECKING:
    from petpark.models.acceptance import Tested
    from training.evaluation.acceptance import Share

_NAMED = 10
"""Photos that are named, of those that were left out and of wrong answers; --json names all."""


def run_test(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Photos, one subfolder per class.")],
    version: Annotated[str, named_option("--version", "Version to test, on this machine.")] = "",
    endpoint: Annotated[
        str,
        typer.Option(
            "--endpoint", metavar="URL", help="URL of an endpoint to test; its API key is read from PETPARK_API_KEY."
        ),
    ] = "",
    index: Annotated[
        Path | None,
        typer.Option(
            "--index",
            help="CSV or JSONL with key, label and columns to report metrics by. Subfolders are "
            "then not used as classes.",
        ),
    ] = None,
) -> None:
    """Test a version or an endpoint on your own photos, with intervals, and compare with its report.

    Nothing is stored. Photos that the version was trained on are left out, including re-encoded copies.
    """
    if bool(version) == bool(endpoint):
        raise typer.BadParameter("use either --version N or --endpoint URL")
    run = invocation(ctx)
    rows = None
    if index is not None:
        from training.dataset.index import read_index

        rows = read_index(index.name, index.read_bytes(), None)
    with tempfile.TemporaryDirectory(prefix="petpark-test-") as directory, run.output.progress("Testing") as report:
        if version:
            target = run.target()
            subject = subjects.of_version(target, model_versions.resolve(target, version), Path(directory))
        else:
            subject = subjects.of_endpoint(endpoint, run.target)
        tested = acceptance.answer_folder(folder, subject, index=rows, progress=report)
    run.output.sections(_sections(tested), facts=_facts(tested))


def _sections(tested: Tested) -> dict[str, Section]:
    found = tested.found
    head: dict[str, Cell] = {"accuracy": _share(found.all), "balanced accuracy": _figure(*found.balanced)}
    if tested.claim:
        head["its report says"] = (
            f"{_figure(tested.claim.accuracy, tested.claim.interval)}, {tested.claim.photos} photos"
        )
    head["left out"] = _left_out(tested)
    if tested.unknown:
        head["not known"] = tested.unknown
    head["comment"] = _meaning(tested)
    if tested.skipped:
        key, reason = tested.skipped[0]
        head["skipped"] = f"{plural(len(tested.skipped), 'file')}, first: {key}: {reason}"
    columns = ("", "photos", "right", "95 % interval")
    sections: dict[str, Section] = {
        f"{tested.what}, {plural(found.all.photos, 'photo')}": head,
        "Classes": Columns(columns, [_row(each) for each in found.classes]),
    }
    for column in dict.fromkeys(each.column for each in found.groups):
        few = found.unlisted.get(column, 0)
        title = f"By {column}, worst first"
        title += f"; {plural(few, 'group')} of fewer than 5 photos not shown" if few else ""
        sections[title] = Columns(columns, [_row(each) for each in found.groups if each.column == column])
    if tested.left_out:
        shown = list(tested.left_out.items())[:_NAMED]
        sections[f"Left out: {len(tested.left_out)}"] = {key: overlap.reason for key, overlap in shown}
    if found.wrong:
        sections[f"Wrong: {len(found.wrong)}"] = {each.key: f"answered {each.answer}" for each in found.wrong[:_NAMED]}
    return sections


def _left_out(tested: Tested) -> str:
    if tested.left_out is None:
        return "unknown which photos it was trained on"
    copies = sum(overlap.copy for overlap in tested.left_out.values())
    count = f"{plural(len(tested.left_out), 'photo')} that it was trained on"
    return f"{count}, {copies} of them as {'a copy' if copies == 1 else 'copies'} in other bytes" if copies else count


def _row(each: Share) -> tuple[Cell, ...]:
    low, high = each.interval
    return (each.value, str(each.photos), percent(each.share), f"{percent(low)} to {percent(high)}")


def _share(each: Share) -> str:
    return _figure(each.share, each.interval)


def _figure(share: float, interval: tuple[float, float]) -> str:
    return f"{percent(share)} ({percent(interval[0])} to {percent(interval[1])})"


def _meaning(tested: Tested) -> str:
    from training.evaluation.acceptance import meaning

    return meaning(tested.claim, tested.found.all)


def _facts(tested: Tested) -> dict[str, Any]:
    found = tested.found
    balanced, interval = found.balanced
    return {
        "tested": tested.what,
        **found.all.facts(),
        "balanced_accuracy": {"value": balanced, "low": interval[0], "high": interval[1]},
        "claim": tested.claim and asdict(tested.claim),
        "learned": None if tested.left_out is None else len(tested.left_out),
        "left_out": None
        if tested.left_out is None
        else [
            {"key": key, "learned_as": overlap.key, "copy": overlap.copy} for key, overlap in tested.left_out.items()
        ],
        "unknown": tested.unknown or None,
        "classes": [each.facts() for each in found.classes],
        "groups": [each.facts() for each in found.groups],
        "unlisted": dict(found.unlisted),
        "wrong": [asdict(each) for each in found.wrong],
        "skipped": [{"key": key, "reason": reason} for key, reason in tested.skipped],
        "meaning": _meaning(tested),
    }


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        "test",
        epilog=example("petpark test photos/ --version 12", "petpark test photos/ --endpoint https://pets.example.org"),
    )(run_test)
