"""`petpark data diff`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from petpark.app import example, invocation
from petpark.commands.datasets.photos import both, by_change, by_class, photo_facts
from petpark.data import datasets
from petpark.output.console import Columns, Section
from petpark.output.formats import percent, short

if TYPE_CHECKING:
    from petpark.data.datasets import DatasetComparison
    from training.dataset.distribution import Shift

_MOST_ROWS = 20


def diff(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(metavar="A", help="Baseline dataset: hash, or a unique prefix.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Dataset to compare.")],
    photos: Annotated[bool, typer.Option("--photos", help="List every photo, not only the first ones.")] = False,
) -> None:
    """Compare two datasets: photos added, removed, relabelled, moved; labels, cameras and days."""
    run = invocation(ctx)
    with run.output.progress("Comparing"):
        found = datasets.compare(run.target(), before, after)
    difference = found.difference
    changes = by_change(difference, photos=photos)
    sections: dict[str, Section] = {
        f"dataset {short(found.before)} → {short(found.after)}": changes or {"differs in": "nothing: the same photos"},
        "Photos by class": by_class(difference),
    }
    for name, shift in found.shifts.items():
        if name != "labels" and shift.before != shift.after:
            sections[f"Photos by {name.removesuffix('s')}"] = Columns(("", "photos"), _rows(shift))
    sections["Moved, as a share of all photos"] = {
        name: percent(shift.distance) for name, shift in found.shifts.items()
    }
    run.output.sections(sections, facts=_facts(found, photos=photos))


def _rows(shift: Shift) -> list[tuple[str, str]]:
    """Largest changes first."""
    old, new = shift.before, shift.after
    names = sorted(old.keys() | new.keys(), key=lambda name: (-abs(new.get(name, 0) - old.get(name, 0)), name))
    rows = [(name, both((old.get(name, 0), new.get(name, 0)))) for name in names[:_MOST_ROWS]]
    return [*rows, ("…", f"{len(names) - _MOST_ROWS} more")] if len(names) > _MOST_ROWS else rows


def _facts(found: DatasetComparison, *, photos: bool) -> dict[str, Any]:
    return {
        "before": found.before,
        "after": found.after,
        "same": found.difference.empty,
        **photo_facts(found.difference, photos=photos),
        "distributions": {
            name: {**asdict(shift), "distance": round(shift.distance, 4)} for name, shift in found.shifts.items()
        },
    }


def register(app: typer.Typer) -> None:
    """Add the command to its group."""
    app.command("diff", epilog=example("petpark data diff 3fa9 b071", "petpark data diff 3fa9 b071 --photos --json"))(
        diff
    )
