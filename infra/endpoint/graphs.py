"""Metric math of alarms, and the dashboard's graphs of them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Final

from infra.alarms.rules import MINUTE, Question
from infra.alarms.signals import Signal, Watched
from infra.configuration.objectives import Objective
from infra.endpoint.dashboard import Graph, Metric, Series, Threshold
from infra.endpoint.objectives import Burn, budget, expression
from infra.endpoint.signals import Share

_TOTAL: Final = "total"
_STARTS: Final[Mapping[str, str]] = {
    "GreaterThanThreshold": "alarm above {:g}",
    "GreaterThanOrEqualToThreshold": "alarm at {:g} or more",
    "LessThanThreshold": "alarm below {:g}",
    "LessThanOrEqualToThreshold": "alarm at {:g} or less",
}


def numbered(signals: Sequence[Signal], numbers: Iterator[int] | None = None) -> dict[str, Signal]:
    """Signals by their metric ids."""
    return {f"m{number}": signal for number, signal in zip(numbers or count(), signals, strict=False)}


def summed(keys: Sequence[str]) -> str:
    """The sum of metrics, by their ids. FILL, because a count without events has no data points."""
    return " + ".join(f"FILL({key}, 0)" for key in keys)


def graphs_of(watched: Sequence[Watched]) -> list[Graph]:
    """A graph for each kind of alarm, with a line for each alarm."""
    kinds: dict[str, list[Watched]] = {}
    for each in watched:
        kinds.setdefault(each.kind, []).append(each)
    return [_graph_of(of_kind) for of_kind in kinds.values()]


def _graph_of(watched: Sequence[Watched]) -> Graph:
    rule, numbers = watched[0].rule, count()
    below, label = rule.comparison.startswith("Less"), _STARTS[rule.comparison]
    values = sorted({each.rule.threshold for each in watched})
    return Graph(
        question=rule.shown.question,
        title=rule.shown.title,
        unit=rule.shown.unit,
        series=[_series_of(each, numbers) for each in watched],
        thresholds=[Threshold(value=value, label=label.format(value), below=below) for value in values],
        period=rule.period,
    )


def _series_of(watched: Watched, numbers: Iterator[int]) -> Series:
    """Durations are shown in milliseconds, whatever the unit of the metric."""
    found = numbered(watched.signals, numbers)
    factor = watched.signals[0].milliseconds
    calculated = summed(tuple(found)) if len(found) > 1 else f"{factor:g} * {next(iter(found))}" if factor != 1 else ""
    return Series(
        label=watched.about or watched.rule.shown.title,
        metrics={key: _metric(signal, watched.rule.statistic) for key, signal in found.items()},
        expression=calculated,
    )


def graph_of_objective(burn: Burn, objective: Objective, percent: str, share: Share) -> Graph:
    """The percentage of bad requests of an objective in the short window of a burn rate."""
    threshold = round(100 * burn.rate * budget(percent), 4)
    bad = {Objective.AVAILABILITY: "Requests answered with an error", Objective.LATENCY: "Requests answered too slowly"}
    return Graph(
        question=Question.UP,
        title=f"{bad[objective]}, in {burn.short.period // MINUTE} minutes",
        unit="percent",
        series=[
            Series(
                label=f"outside the objective of {percent} %",
                metrics={key: _metric(signal, "Sum") for key, signal in named(share).items()},
                expression=f"100 * {share_expression(share)}",
            )
        ],
        thresholds=[Threshold(value=threshold, label=f"alarm above {threshold:g} here and over {burn.long.name}")],
        period=burn.short.period,
    )


def graph_of_requests(share: Share) -> Graph:
    """All requests: shows whether other graphs are flat because there is no traffic."""
    series = Series(label="requests", metrics={_TOTAL: _metric(share.total, "Sum")})
    return Graph(
        question=Question.UP,
        title="Requests",
        unit="requests per minute",
        series=[series],
        thresholds=[],
        period=MINUTE,
    )


def share_expression(share: Share) -> str:
    """Metric math of the share of bad requests."""
    metrics = named(share)
    return expression(
        tuple(key for key in metrics if key != _TOTAL),
        (_TOTAL, *(key for key, signal in metrics.items() if signal in share.uncounted)),
    )


def named(share: Share) -> Mapping[str, Signal]:
    """The metrics of the share by their metric ids."""
    return {**{f"bad{number}": signal for number, signal in enumerate(share.bad)}, _TOTAL: share.total}


def _metric(signal: Signal, statistic: str) -> Metric:
    return Metric(namespace=signal.namespace, metric=signal.metric, dimensions=signal.dimensions, statistic=statistic)
