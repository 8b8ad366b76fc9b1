"""Service level objectives, and the alarms on how fast their error budget burns. Pure.

An objective of 99.9 % leaves an error budget of 0.1 % of a month's requests. A burn rate of 1 spends it in a month, one
of 14.4 in two days. An alarm needs a long window, so that little is wrong with little evidence, and a short one, so
that it ends soon after the cause: Google, The Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate
Alerts", https://sre.google/workbook/alerting-on-slos/#6-multiwindow-multi-burn-rate-alerts
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from infra.alarms.rules import RUNBOOK, described
from infra.configuration.alarm_actions import Severity
from infra.configuration.objectives import Objective

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

LEAST_REQUESTS: Final = 20
"""A window with fewer requests raises no alarm: one error among three requests is no outage."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The requests of the last `period` seconds; of `periods` such times, each must be too bad."""

    period: int
    periods: int = 1

    @property
    def name(self) -> str:
        """Such as `5m`, `6h` or `3d`."""
        seconds = self.period * self.periods
        unit, letter = next(
            (unit, letter) for unit, letter in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "m")) if seconds >= unit
        )
        return f"{seconds // unit}{letter}"


@dataclass(frozen=True, kw_only=True)
class Burn:
    """A burn rate that is too high in a long and in a short window at once."""

    rate: float
    long: Window
    short: Window
    severity: Severity

    @property
    def windows(self) -> tuple[Window, Window]:
        """Both."""
        return self.long, self.short


BURNS: Final = (
    Burn(rate=14.4, long=Window(period=_HOUR), short=Window(period=5 * _MINUTE), severity=Severity.PAGE),
    Burn(rate=6, long=Window(period=6 * _HOUR), short=Window(period=30 * _MINUTE), severity=Severity.PAGE),
    # CloudWatch has no period of more than a day: each of three days must be too bad, instead of the three together.
    Burn(rate=1, long=Window(period=_DAY, periods=3), short=Window(period=6 * _HOUR), severity=Severity.TICKET),
)


@dataclass(frozen=True, kw_only=True)
class BurnAlarm:
    """One window of one burn rate: alarms when the share of bad requests, 0 to 1, exceeds `threshold`."""

    name: str
    objective: Objective
    window: Window
    threshold: float


@dataclass(frozen=True, kw_only=True)
class ObjectiveAlarm:
    """What notifies: `rule` combines the alarms of windows, with `{name}` where an alarm's own name must stand."""

    name: str
    severity: Severity
    description: str
    rule: str
    parts: tuple[str, ...]


def expression(bad: Sequence[str], total: Sequence[str]) -> str:
    """Returns CloudWatch's metric math for the share of bad requests; arguments are ids of metrics (sums).

    A metric of counts has no value where nothing was counted, hence FILL.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """
    counted, requests = (" + ".join(f"FILL({each}, 0)" for each in ids) for ids in (bad, total))
    return f"IF({requests} >= {LEAST_REQUESTS}, ({counted}) / ({requests}), 0)"


def budget(percent: str) -> float:
    """Returns the share of requests that may be bad with an objective of `PERCENTAGES`."""
    return round(1 - float(percent) / 100, 6)


def burn_alarms(objectives: Mapping[Objective, str]) -> list[BurnAlarm]:
    """Returns an alarm for each objective, burn rate and window; a rate that no share of requests reaches has none."""
    return [
        BurnAlarm(
            name=_part(objective, burn, window),
            objective=objective,
            window=window,
            threshold=round(burn.rate * budget(percent), 6),
        )
        for objective, percent in objectives.items()
        for burn in reachable(percent)
        for window in burn.windows
    ]


def objective_alarms(
    objectives: Mapping[Objective, str], *, latency_ms: int, runbook: str = RUNBOOK
) -> list[ObjectiveAlarm]:
    """Returns what notifies: a page and a ticket for each objective."""
    bad = {
        Objective.AVAILABILITY: "answered with an error (status 500 and above)",
        Objective.LATENCY: f"answered in more than {latency_ms} ms",
    }
    found: list[ObjectiveAlarm] = []
    for objective, percent in objectives.items():
        for severity in Severity:
            burns = [burn for burn in reachable(percent) if burn.severity is severity]
            names = [tuple(_part(objective, burn, window) for window in burn.windows) for burn in burns]
            if not burns:
                continue
            name = f"{objective}-{severity}"
            rates = " or ".join(f"{burn.rate:g} times ({burn.long.name})" for burn in burns)
            found.append(
                ObjectiveAlarm(
                    name=name,
                    severity=severity,
                    description=described(
                        name,
                        f"{severity.capitalize()}: too many requests are {bad[objective]}. The error budget of the "
                        f"objective, {percent} %, burns {rates} as fast as allowed.",
                        runbook,
                    ),
                    rule=" OR ".join(f'(ALARM("{{{long}}}") AND ALARM("{{{short}}}"))' for long, short in names),
                    parts=tuple(part for pair in names for part in pair),
                )
            )
    return found


def _part(objective: Objective, burn: Burn, window: Window) -> str:
    return f"{objective}-{burn.rate:g}x-{window.name}".replace(".", "-")


def reachable(percent: str) -> list[Burn]:
    """Returns the burn rates that are at most 100 % bad requests, the fastest first."""
    return [burn for burn in BURNS if burn.rate * budget(percent) < 1]
