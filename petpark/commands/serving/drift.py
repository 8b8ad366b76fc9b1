"""`petpark drift`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petpark.app import Invocation, example, invocation
from petpark.commands.registry.past import parse_moment
from petpark.errors import NOT_SO
from petpark.models import drift
from petpark.models.drift import DriftOfCamera, FindReference, WindowOfCamera
from petpark.output.formats import bad, good, plural
from petpark.output.table import Cell
from registry.clock import utc_now

if TYPE_CHECKING:
    from monitoring.predictions import Reads


def run_drift(
    ctx: typer.Context,
    camera: Annotated[str, typer.Option("--camera", help="Only this camera.")] = "",
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="Default: a day before --to.")] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Default: now.")] = "",
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            exists=True,
            file_okay=False,
            help="Local copy of the data lake's recorded predictions, instead of the lake.",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="Compare with this file, instead of the references of the versions."),
    ] = None,
    save_reference: Annotated[
        Path | None,
        typer.Option(
            "--save-reference",
            help="Save what the camera recorded, if you judge it ordinary, as a file for --reference.",
        ),
    ] = None,
) -> None:
    """Compare recorded predictions with the validation photos of the version, per camera and hour.

    Exits with 1 if something drifted, photos are missing, a camera was silent, a version has no reference, or nothing
    was recorded of the camera that --camera names.
    """
    if save_reference is not None and not camera:
        raise typer.BadParameter("--save-reference needs one camera: --camera NAME")
    run = invocation(ctx)
    start, end = _period(begin, until)
    reads: Reads = drift.Folder(path=folder) if folder is not None else drift.lake(run.target())
    find = _finder(run, reference)
    if save_reference is not None:
        count = drift.save_reference(
            reads, run.stack, camera=camera, start=start, end=end, reference_of=find, path=save_reference
        )
        run.output.record(
            {"camera": camera, "photos": str(count), "file": str(save_reference)},
            facts={"camera": camera, "photos": count, "file": str(save_reference)},
        )
        return
    found: list[DriftOfCamera] = []
    with run.output.progress("Examining") as report:
        cameras = [camera] if camera else drift.recorded_cameras(reads, run.stack)
        for each in drift.examine(reads, run.stack, cameras=cameras, start=start, end=end, reference_of=find):
            found.append(each)
            report(len(found), len(cameras), "cameras")
    _show(run, found, start=start, end=end)
    unseen = bool(camera) and not any(each.photos for each in found)  # or there is no camera of this name
    if unseen or any(each.drifted or each.silent or each.without_reference for each in found):
        raise typer.Exit(NOT_SO)


def _period(begin: str, until: str) -> tuple[datetime, datetime]:
    """Returns the first moment and the end of the compared period. Raises `BadParameter` if it would be empty."""
    end = parse_moment(until) if until else utc_now()
    start = parse_moment(begin) if begin else end - timedelta(days=1)
    if start >= end:
        raise typer.BadParameter("it must be before --to", param_hint="--from")
    return start, end


def _finder(run: Invocation, file: Path | None) -> FindReference:
    """Returns how the reference of a version is found, once for each: the file, or the version's own."""
    if file is not None:
        known = drift.read_reference(file)
        return lambda _number, _digest: known
    return cache(lambda number, digest: drift.version_reference(run.target(), number, digest))


def _show(run: Invocation, found: Sequence[DriftOfCamera], *, start: datetime, end: datetime) -> None:
    run.output.table(
        ("camera", "from (UTC)", "hours", "version", "photos", "accuracy", "drift"),
        [row for each in found for row in _rows(each)],
        facts={"from": start.isoformat(), "to": end.isoformat(), "cameras": [_facts(each) for each in found]},
        empty=f"Stack {run.stack} has no recorded predictions.",
    )


def _rows(found: DriftOfCamera) -> list[tuple[Cell, ...]]:
    """Windows that drifted, then a line for the others, missing traffic, and versions without a reference."""
    rows = [_row(found.camera, each) for each in found.windows if each.examined.drifted]
    others = len(found.windows) - len(rows)
    if others:
        rows.append((found.camera, "–", "–", "–", "–", "–", good(f"{plural(others, 'window')} without drift")))
    if found.traffic is not None and found.traffic.missing:
        rows.append((found.camera, "–", str(found.traffic.hours), "–", "–", "–", bad(found.traffic.sentence)))
    rows += [
        (found.camera, "–", "–", str(version), "–", "–", bad("the version has no reference; train a newer one"))
        for version in found.without_reference
    ]
    if not rows:
        said: Cell = "too few photos to tell" if found.photos else bad("nothing was recorded in this period")
        rows.append((found.camera, "–", "–", "–", str(found.photos), "–", said))
    return rows


def _row(camera: str, window: WindowOfCamera) -> tuple[Cell, ...]:
    estimate = window.accuracy
    accuracy = "unknown"
    if estimate.accuracy is not None:
        accuracy = f"{estimate.accuracy:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"
    return (
        camera,
        _hour(window.start),
        str(window.hours),
        str(window.version),
        str(window.examined.photos),
        accuracy,
        bad("; ".join(each.sentence for each in window.examined.drifted)),
    )


def _facts(found: DriftOfCamera) -> dict[str, Any]:
    return {
        "camera": found.camera,
        "photos": found.photos,
        "drifted": found.drifted,
        "silent": found.silent,
        "alarms": [{"from": begin.isoformat(), "to": end.isoformat()} for begin, end in found.alarms],
        "traffic": None
        if found.traffic is None
        else {**asdict(found.traffic), "missing": found.traffic.missing, "sentence": found.traffic.sentence},
        "without_reference": list(found.without_reference),
        "windows": [_window_facts(each) for each in found.windows],
    }


def _window_facts(window: WindowOfCamera) -> dict[str, Any]:
    return {
        "version": window.version,
        "from": window.start.isoformat(),
        "hours": window.hours,
        "photos": window.examined.photos,
        "tests": [{**asdict(each), "drifted": each.drifted} for each in window.examined.findings],
        "accuracy": {**asdict(window.accuracy), "sentence": window.accuracy.sentence},
        "strange": window.strange,
    }


def _hour(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("drift", epilog=example("petpark drift --stack prod", "petpark drift --camera gate --json"))(run_drift)
