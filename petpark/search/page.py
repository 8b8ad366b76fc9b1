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
"""Up to this number of distinct values, each has a label on the axis."""

_LOGARITHMIC_RATIO = 10
"""From this ratio of the largest to the smallest value, the axis is logarithmic."""


def write_page(table: Table, study: Study, path: Path) -> None:
    """Write the study as a single HTML file without scripts and external resources, with all text escaped.

    Raises FileInTheWay; an existing page is then unchanged.
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
    positions, ticks = axis([row.settings[name] for row in rows])
    last = max(row.rung for row in rows)
    points = [
        Point(
            place=position,
            value=row.value or 0.0,
            interval=_interval(row),
            title=f"trial {row.trial}: {name} {row.settings[name]}, {row.epochs} epochs, {row.value:.3f}",
            kind="best" if row.trial == table.best else "early" if row.rung < last else "",
        )
        for row, position in zip(rows, positions, strict=True)
    ]
    points.sort(key=lambda point: ("early", "", "best").index(point.kind))  # the best is drawn last, on top
    low = math.floor(min(point.interval[0] for point in points) * 10) / 10
    high = math.ceil(max(point.interval[1] for point in points) * 10) / 10
    label = f"{table.metric} with its 95 % interval over {name}, a dot for each of {len(points)} trials"
    return scatter(points, ticks, label, (low, high))


def axis(values: Sequence[str]) -> tuple[list[float], dict[float, str]]:
    """Returns the position of each value on the axis (0 to 1), and labels by position.

    Numbers are on a linear or logarithmic scale; other values are evenly spaced.
    """
    distinct = list(dict.fromkeys(values))
    numbers = _numbers(distinct)
    if numbers is None or len(distinct) == 1:
        even = {value: (n + 0.5) / len(distinct) for n, value in enumerate(distinct)}
        return [even[value] for value in values], {position: value for value, position in even.items()}
    low, high = min(numbers.values()), max(numbers.values())
    logarithmic = low > 0 and high / low >= _LOGARITHMIC_RATIO

    def position(number: float) -> float:
        if logarithmic:
            return math.log(number / low) / math.log(high / low)
        return (number - low) / (high - low)

    # Labels that would overlap are omitted, except those at both ends.
    labelled = distinct if len(distinct) <= _FEW else [min(numbers, key=numbers.__getitem__)]
    ticks = {0.0: min(numbers, key=numbers.__getitem__)}
    for value in sorted(labelled, key=numbers.__getitem__):
        at = position(numbers[value])
        if at - max(ticks) >= 1 / _FEW and at <= 1 - 1 / _FEW:
            ticks[at] = value
    ticks[1.0] = max(numbers, key=numbers.__getitem__)
    return [position(numbers[value]) for value in values], ticks


def _numbers(values: Sequence[str]) -> dict[str, float] | None:
    try:
        return {value: float(value) for value in values}
    except ValueError:
        return None


def _interval(row: Row) -> Interval:
    return (row.low or 0.0, row.high or 0.0)
