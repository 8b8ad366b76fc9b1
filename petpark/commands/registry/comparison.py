"""`petpark models diff`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petpark.app import example, invocation
from petpark.commands.datasets.photos import by_change, by_class, photo_facts
from petpark.commands.formatting import NAMED, brief, figure, measured, named
from petpark.models import comparison, model_versions
from petpark.models.comparison import Comparison
from petpark.models.lineage import OriginUnknown
from petpark.output.console import Columns, Section
from petpark.output.formats import bad, moment, short, size
from petpark.output.table import Cell

if TYPE_CHECKING:
    from registry.version import StoredFile
    from registry.versions.difference import Change


def diff(
    ctx: typer.Context,
    before: Annotated[str, named("A", f"Baseline version. {NAMED}")],
    after: Annotated[str, named("B", "Version to compare.")],
    photos: Annotated[bool, typer.Option("--photos", help="List every photo, not only the first ones.")] = False,
) -> None:
    """Compare two versions: metrics, labels, lineage, files, and the photos of their datasets."""
    run = invocation(ctx)
    target = run.target()
    with run.output.progress("Comparing"):
        found = comparison.compare(
            target, model_versions.resolve(target, before), model_versions.resolve(target, after)
        )
    difference = found.difference
    sections: dict[str, Section] = {
        f"{found.before.title} → {found.after.number}": {
            "created": f"{moment(found.before.created_at)} → {moment(found.after.created_at)} UTC",
            "differs in": ", ".join(_areas(found)) or "nothing: same content",
        },
        "Metrics": Columns(("", "before", "after", "change"), _metrics(found)),
        "Labels": {} if difference.labels is None else _labels(difference.labels),
        "Lineage": Columns(
            ("", "before", "after"),
            [(name, _or_none(change.before), _or_none(change.after)) for name, change in difference.lineage.items()],
        ),
        "Files": Columns(("", "before", "after"), [_file(name, change) for name, change in difference.files.items()]),
        **_dataset_sections(found, photos=photos),
    }
    run.output.sections(sections, facts=_facts(found, photos=photos))


def _areas(found: Comparison) -> list[str]:
    difference = found.difference
    areas = {
        "metrics": difference.metrics,
        "labels": difference.labels,
        "lineage": difference.lineage,
        "files": difference.files,
        "dataset": found.dataset,
    }
    return [area for area, changed in areas.items() if changed]


def _metrics(found: Comparison) -> list[Sequence[Cell]]:
    old, new = found.before.metrics, found.after.metrics
    names = [name for name in measured({**old, **new}) if name in found.difference.metrics]
    return [(name, figure(old, name), figure(new, name), _delta(old.get(name), new.get(name))) for name in names]


def _delta(before: float | None, after: float | None) -> str:
    return "" if before is None or after is None else f"{after - before:+.4g}"


def _labels(change: Change[tuple[str, ...]]) -> dict[str, Cell]:
    return {"before": ", ".join(change.before or ()), "after": ", ".join(change.after or ())}


def _or_none(value: str | None) -> str:
    return "–" if value is None else brief(value)


def _file(name: str, change: Change[StoredFile]) -> Sequence[Cell]:
    def text(file: StoredFile | None) -> str:
        return "–" if file is None else f"{short(file.sha256)}, {size(file.bytes)}"

    return (name, text(change.before), text(change.after))


# --- the dataset ---------------------------------------------------------------------------------------------------


def _dataset_sections(found: Comparison, *, photos: bool) -> dict[str, Section]:
    dataset = found.dataset
    if dataset is None:
        return {}
    if isinstance(dataset, OriginUnknown):
        return {"Dataset": {"cannot be compared": bad(dataset.reason)}}
    return {"Dataset": by_change(dataset, photos=photos), "Photos by class": by_class(dataset)}


# --- for programs --------------------------------------------------------------------------------------------------


def _facts(found: Comparison, *, photos: bool) -> dict[str, Any]:
    difference = found.difference
    return {
        "before": difference.before,
        "after": difference.after,
        "same": difference.empty,
        "metrics": {name: {**asdict(change), "delta": _minus(change)} for name, change in difference.metrics.items()},
        "labels": difference.labels and asdict(difference.labels),
        "lineage": {name: asdict(change) for name, change in difference.lineage.items()},
        "files": {name: asdict(change) for name, change in difference.files.items()},
        "dataset": _dataset_facts(found, photos=photos),
    }


def _minus(change: Change[float]) -> float | None:
    return None if change.before is None or change.after is None else change.after - change.before


def _dataset_facts(found: Comparison, *, photos: bool) -> dict[str, Any]:
    named = {"before": found.before.lineage.get("dataset"), "after": found.after.lineage.get("dataset")}
    dataset = found.dataset
    if dataset is None or isinstance(dataset, OriginUnknown):
        return {**named, "same": dataset is None, "lost": None if dataset is None else dataset.reason}
    return {
        **named,
        "same": False,
        "lost": None,
        **photo_facts(dataset, photos=photos),
    }


def register(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command("diff", epilog=example("petpark models diff 11 12", "petpark models diff 11 12 --photos --json"))(diff)
