"""A study as one HTML page: the best trial, each setting against the metric, and all trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.files import write_file
from petpark.search import study_summary
from petpark.search.table import Row, Table

if TYPE_CHECKING:
    from markupsafe import Markup

    from registry.intervals import Interval
    from training.search.study import Study

_FEW = 6
"""Up to so many different values each get a name below the axis."""

_MANY_TENFOLDS = 10
"""From this ratio between the largest and the smallest value on, the axis is a logarithm."""


def write_page(table: Table, study: Study, path: Path) -> None:
    """Write the study as one HTML file that needs nothing else and runs no script; all text in it is escaped.

    Raises FileInTheWay; then the page before it stays.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from training.evaluation import reporting

    style = Path(next(iter(reporting.__path__))) / "report.css"
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = study_summary.searched(study)
    page = environment.get_template("page.html.j2").render(
        table=table,
        names=names,
        recipe=study.spec.hyper_parameters,
        rungs=study.rungs,
        style=style.read_text(encoding="utf-8"),
        sentences=study_summary.sentences(table),
        charts={name: _chart(table, name) for name in names} if _measured(table) else {},
        hours=study_summary.hours,
        usd=study_summary.usd,
    )
    write_file(page, path)


def _measured(table: Table) -> list[Row]:
    return [row for row in table.rows if row.value is not None]


def _chart(table: Table, name: str) -> Markup:
    from training.evaluation.reporting.charts import Point, scatter

    rows = _measured(table)
    places, ticks = axis([row.settings[name] for row in rows])
    last = max(row.rung for row in rows)
    points = [
        Point(
            place=place,
            value=row.value or 0.0,
            interval=_interval(row),
            title=f"trial {row.trial}: {name} {row.settings[name]}, {row.epochs} epochs, {row.value:.3f}",
            kind="best" if row.trial == table.best else "early" if row.rung < last else "",
        )
        for row, place in zip(rows, places, strict=True)
    ]
    points.sort(key=lambda point: ("early", "", "best").index(point.kind))  # what matters is drawn last
    low = math.floor(min(point.interval[0] for point in points) * 10) / 10
    high = math.ceil(max(point.interval[1] for point in points) * 10) / 10
    label = f"{table.metric} with its 95 % interval over {name}, a dot for each of {len(points)} trials"
    return scatter(points, ticks, label, (low, high))


def axis(values: Sequence[str]) -> tuple[list[float], dict[float, str]]:
    """Places from 0 to 1 for values, and names for some places: numbers in proportion or by logarithm, words evenly."""
    different = list(dict.fromkeys(values))
    numbers = _numbers(different)
    if numbers is None or len(different) == 1:
        even = {value: (n + 0.5) / len(different) for n, value in enumerate(different)}
        return [even[value] for value in values], {place: value for value, place in even.items()}
    low, high = min(numbers.values()), max(numbers.values())
    by_logarithm = low > 0 and high / low >= _MANY_TENFOLDS

    def place(number: float) -> float:
        if by_logarithm:
            return math.log(number / low) / math.log(high / low)
        return (number - low) / (high - low)

    # Names that would stand closer than their own width are left out; both ends stay.
    named = different if len(different) <= _FEW else [min(numbers, key=numbers.__getitem__)]
    ticks = {0.0: min(numbers, key=numbers.__getitem__)}
    for value in sorted(named, key=numbers.__getitem__):
        here = place(numbers[value])
        if here - max(ticks) >= 1 / _FEW and here <= 1 - 1 / _FEW:
            ticks[here] = value
    ticks[1.0] = max(numbers, key=numbers.__getitem__)
    return [place(numbers[value]) for value in values], ticks


def _numbers(values: Sequence[str]) -> dict[str, float] | None:
    try:
        return {value: float(value) for value in values}
    except ValueError:
        return None


def _interval(row: Row) -> Interval:
    return (row.low or 0.0, row.high or 0.0)
