"""The stack's dashboard in CloudWatch: what is in alarm, and a graph of each signal and objective. Pure.

Format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_COLUMNS, _ACROSS, _HEIGHT = 24, 3, 6
_STATUS_HEIGHT = 4


@dataclass(frozen=True, kw_only=True)
class Line:
    """A metric of a graph. `dimensions` may hold values that are only known during the deployment."""

    namespace: str
    metric: str
    dimensions: Mapping[str, Any]
    statistic: str
    id: str = ""
    """How the graph's expression names it; a metric with an id is not drawn itself."""


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Lines over time, and where the alarm's threshold is."""

    title: str
    lines: Sequence[Line]
    threshold: float
    period: int
    expression: str = ""
    """Metric math that is drawn instead of the lines."""


def dashboard(graphs: Sequence[Graph], *, alarms: Sequence[Any], region: str) -> dict[str, Any]:
    """Returns the body: the state of `alarms` (ARNs) on top, then the graphs, three in a row."""
    status = {
        "type": "alarm",
        "x": 0,
        "y": 0,
        "width": _COLUMNS,
        "height": _STATUS_HEIGHT,
        "properties": {"title": "Alarms (docs/runbook.md)", "alarms": list(alarms)},
    }
    width = _COLUMNS // _ACROSS
    drawn = [
        {
            "type": "metric",
            "x": width * (number % _ACROSS),
            "y": _STATUS_HEIGHT + _HEIGHT * (number // _ACROSS),
            "width": width,
            "height": _HEIGHT,
            "properties": _properties(graph, region),
        }
        for number, graph in enumerate(graphs)
    ]
    return {"start": "-PT24H", "widgets": [status, *drawn]}


def _properties(graph: Graph, region: str) -> dict[str, Any]:
    metrics: list[Any] = [_row(line, graph.period) for line in graph.lines]
    if graph.expression:
        metrics.append([{"expression": graph.expression, "label": graph.title, "period": graph.period}])
    return {
        "title": graph.title,
        "region": region,
        "view": "timeSeries",
        "metrics": metrics,
        "yAxis": {"left": {"min": 0}},
        "annotations": {"horizontal": [{"label": "alarm", "value": graph.threshold, "color": "#d62728"}]},
    }


def _row(line: Line, period: int) -> list[Any]:
    dimensions = [part for pair in line.dimensions.items() for part in pair]
    options: dict[str, Any] = {"stat": line.statistic, "period": period}
    if line.id:
        options |= {"id": line.id, "visible": False}
    return [line.namespace, line.metric, *dimensions, options]
