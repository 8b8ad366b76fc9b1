"""The stack's dashboard in CloudWatch: a section for each question, with its alarms and the graphs of their signals.

Pure. Format:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

from infra.alarms.rules import RUNBOOK, Question

type Widget = dict[str, Any]

COLUMNS: Final = 24
_TITLE_HEIGHT, _GRAPH_HEIGHT = 2, 6
_TEXT_WIDTH, _LEAST_STATUS_HEIGHT = 8, 3
_ALARMS_ACROSS = 4
"""Alarms per row of a widget of 16 columns, as CloudWatch's console shows them on a laptop."""
_MOST_ACROSS = 3
_RED = "#d62728"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric in CloudWatch. `dimensions` may contain values that are only known during the deployment."""

    namespace: str
    metric: str
    dimensions: Mapping[str, Any]
    statistic: str


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line of a graph: its only metric, or metric math on the ids of several metrics, which are not drawn."""

    label: str
    metrics: Mapping[str, Metric]
    expression: str = ""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Where an alarm goes off, and its label; with `below`, it goes off at lower values."""

    value: float
    label: str
    below: bool = False


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Lines over time with one unit, and the thresholds of their alarms."""

    question: Question
    title: str
    unit: str
    series: Sequence[Series]
    thresholds: Sequence[Threshold]
    period: int
    """Seconds."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """What the dashboard shows of one question. Alarms are ARNs."""

    question: Question
    text: str = ""
    entries: Sequence[str] = ()
    """Entries of the runbook."""
    alarms: Sequence[Any] = ()
    graphs: Sequence[Graph] = field(default=())


def dashboard(sections: Sequence[Section], *, title: str, runbook: str | None, region: str) -> dict[str, Any]:
    """Returns the body. `runbook` is the URL of links; None if only its path is known.

    Periods are those of the alarms (`inherit`): with longer periods, sums would not be comparable to thresholds.
    """
    widgets = [_text(0, 0, COLUMNS, _TITLE_HEIGHT, f"# {title}\n{_about(runbook)}")]
    row = _TITLE_HEIGHT
    for section in sections:
        for widget in _section(section, row, runbook, region):
            widgets.append(widget)
        row = max(each["y"] + each["height"] for each in widgets)
    return {"start": "-PT24H", "periodOverride": "inherit", "widgets": widgets}


def section_text(question: Question, *, month_usd: float | None, owner: str | None) -> str:
    """Returns the text of a section; `owner` is the dashboard of the stack that owns the platform, unless it is this.

    AWS's metric of charges is of the whole account, and only in us-east-1, so costs are list prices: USD a month.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/monitor_estimated_charges_with_cloudwatch.html
    """
    if question is Question.COST:
        listed = "unknown" if month_usd is None else f"{month_usd:,.0f} USD a month"
        jobs = f" Costs of jobs: see the dashboard {owner}." if owner else ""
        return f"List prices of the deployed stack: {listed}, without training (`petpark costs`).{jobs}"
    if question is Question.DRIFTING and owner:
        return f"Drift, silent cameras and estimated accuracy: see the dashboard {owner}."
    return ""


def _about(runbook: str | None) -> str:
    where = f"[{RUNBOOK}]({runbook})" if runbook else f"`{RUNBOOK}`"
    return (
        f"A red line is the threshold of an alarm. What each alarm means and what to do: {where}. Start with "
        "`petpark endpoints status`."
    )


def _section(section: Section, row: int, runbook: str | None, region: str) -> Iterator[Widget]:
    parts = [f"## {section.question}", section.text, _links(section.entries, runbook)]
    markdown = "\n\n".join(part for part in parts if part)
    if section.alarms:
        height = max(_LEAST_STATUS_HEIGHT, 1 + ceil(len(section.alarms) / _ALARMS_ACROSS))
        yield _text(0, row, _TEXT_WIDTH, height, markdown)
        yield _widget(
            "alarm",
            _TEXT_WIDTH,
            row,
            COLUMNS - _TEXT_WIDTH,
            height,
            {"title": f"Alarms: {section.question}", "alarms": list(section.alarms), "sortBy": "stateUpdatedTimestamp"},
        )
    else:
        height = _TITLE_HEIGHT
        yield _text(0, row, COLUMNS, height, markdown)
    for graph, (x, y, width) in zip(section.graphs, _cells(len(section.graphs)), strict=True):
        yield _widget("metric", x, row + height + y, width, _GRAPH_HEIGHT, _properties(graph, region))


def _links(entries: Sequence[str], runbook: str | None) -> str:
    if not entries:
        return ""
    linked = (f"[{entry}]({runbook}#{entry})" for entry in entries)
    return f"Runbook: {', '.join(linked if runbook else entries)}"


def _cells(count: int) -> Iterator[tuple[int, int, int]]:
    """Column, row and width of each graph: full rows with nearly equal numbers of graphs."""
    rows = ceil(count / _MOST_ACROSS)
    for row in range(rows):
        across = count // rows + (row < count % rows)
        width = COLUMNS // across
        for place in range(across):
            yield width * place, _GRAPH_HEIGHT * row, width


def _text(x: int, y: int, width: int, height: int, markdown: str) -> Widget:
    return _widget("text", x, y, width, height, {"markdown": markdown, "background": "transparent"})


def _widget(kind: str, x: int, y: int, width: int, height: int, properties: dict[str, Any]) -> Widget:
    return {"type": kind, "x": x, "y": y, "width": width, "height": height, "properties": properties}


def _properties(graph: Graph, region: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": graph.title,
        "region": region,
        "view": "timeSeries",
        "period": graph.period,
        "metrics": [row for series in graph.series for row in _rows(series)],
        "yAxis": {"left": {"min": 0, "label": graph.unit, "showUnits": False}},
        "legend": {"position": "bottom"},
    }
    if graph.thresholds:
        found["annotations"] = {"horizontal": [_annotation(each) for each in graph.thresholds]}
    return found


def _annotation(threshold: Threshold) -> dict[str, Any]:
    """The side on which the alarm goes off is filled."""
    side = "below" if threshold.below else "above"
    return {"label": threshold.label, "value": threshold.value, "color": _RED, "fill": side}


def _rows(series: Series) -> Iterator[list[Any]]:
    for key, metric in series.metrics.items():
        dimensions = [part for pair in metric.dimensions.items() for part in pair]
        options: dict[str, Any] = {"stat": metric.statistic}
        options |= {"id": key, "visible": False} if series.expression else {"label": series.label}
        yield [metric.namespace, metric.metric, *dimensions, options]
    if series.expression:
        yield [{"expression": series.expression, "label": series.label}]
