"""Charts of both pages: pure functions from figures to inline SVG, coloured by the style sheet.

A chart's shapes are stretched to the available width (`preserveAspectRatio="none"`). Its labels are HTML around it, so
that they have the same size at 390 px, at 1280 px and on paper. Circles would become ellipses, so there are none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from petpark.reports.facts import Share
from petpark.reports.monitoring_facts import TESTS, Serving, TestedWindow, Traffic, TrueAccuracy

WIDTH: Final = 1000.0
HEIGHT: Final = 100.0
SERIES: Final = ("first", "second", "third", "rest")
"""CSS classes of the parts of a bar; the last is for all others."""

_GAP: Final = 0.16
"""Share of a bar's width that is a gap."""
_LEAST_WIDTH: Final = 2.0
_TICKS: Final = 6
_WEEK: Final = 7


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A position on the horizontal axis, 0 to 100, and its label."""

    place: float
    words: str

    @property
    def kind(self) -> str:
        """Alignment that keeps the label within the chart."""
        return "from" if self.place < 4 else "to" if self.place > 96 else "mid"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Shapes with their labels. `rows` label rows of equal height, instead of `top` and `bottom`."""

    svg: Markup
    top: str = ""
    bottom: str = ""
    ticks: tuple[Tick, ...] = ()
    rows: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Time, left to right."""

    start: datetime
    end: datetime
    zone: ZoneInfo

    def at(self, moment: datetime) -> float:
        """Position of a moment in the chart."""
        whole = (self.end - self.start).total_seconds() or 1.0
        return WIDTH * min(1.0, max(0.0, (moment - self.start).total_seconds() / whole))

    def ticks(self, write: Callable[[date], str]) -> tuple[Tick, ...]:
        """About six midnights in the park's time zone."""
        days = (self.end - self.start) / timedelta(days=1)
        step = next(each for each in (1, 2, _WEEK, 2 * _WEEK, 10_000) if days / each <= _TICKS + 1)
        day = self.start.astimezone(self.zone).replace(hour=0, minute=0, second=0, microsecond=0)
        found: list[Tick] = []
        while day <= self.end:
            if day >= self.start:
                found.append(Tick(place=self.at(day) / WIDTH * 100, words=write(day.date())))
            day += timedelta(days=step)  # by the calendar, since `day` has a zone
        return tuple(found)


def visits(
    days: Sequence[date], parts: Sequence[Mapping[date, int]], label: str, write: Callable[[date], str], until: date
) -> Chart:
    """Draw a bar per day, of up to four parts (`SERIES`); days after `until` are incomplete."""
    totals = [sum(part.get(day, 0) for part in parts) for day in days]
    top = round_up(max(totals, default=0))
    place = WIDTH / len(days)
    shapes = [_line((0, HEIGHT / 2), (WIDTH, HEIGHT / 2), "grid")]
    for n, day in enumerate(days):
        if day > until:
            shapes.append(_rect(n * place, 0, place, HEIGHT, "later"))
            continue
        under = 0
        for kind, part in zip(SERIES, parts, strict=False):
            count = part.get(day, 0)
            x, width = (n + _GAP / 2) * place, (1 - _GAP) * place
            shapes.append(_rect(x, HEIGHT * (1 - (under + count) / top), width, HEIGHT * count / top, f"part {kind}"))
            under += count
    return Chart(svg=_svg(label, shapes), top=f"{top}", bottom="0", ticks=_days(days, write))


def availability(days: Sequence[date], kept: Mapping[date, bool], label: str, write: Callable[[date], str]) -> Chart:
    """Draw a cell per day: low if the objective was met, full if it was missed, pale without requests."""
    place = WIDTH / len(days)
    shapes: list[Markup] = []
    for n, day in enumerate(days):
        kind = "later" if day not in kept else "kept" if kept[day] else "missed"
        height = HEIGHT if kind == "missed" else HEIGHT / 2
        shapes.append(_rect((n + _GAP / 2) * place, HEIGHT - height, (1 - _GAP) * place, height, kind))
    return Chart(svg=_svg(label, shapes), ticks=_days(days, write), kind="strip")


def intervals(shares: Sequence[tuple[str, Share]], label: str, percent: Callable[[float], str]) -> Chart:
    """Draw shares with their intervals side by side, each with a label."""
    low = floor_of([share.interval[0] for _, share in shares])
    place = WIDTH / max(1, len(shares))
    shapes = [_line((0, HEIGHT / 2), (WIDTH, HEIGHT / 2), "grid")]
    ticks: list[Tick] = []
    for n, (name, share) in enumerate(shares):
        middle = (n + 0.5) * place
        shapes += _measured(middle, min(place / 3, 24), share, low, "labelled")
        ticks.append(Tick(place=middle / WIDTH * 100, words=name))
    return Chart(svg=_svg(label, shapes), top=percent(1.0), bottom=percent(low), ticks=tuple(ticks))


def traffic(axis: Axis, found: Sequence[Traffic], label: str, write: Callable[[date], str]) -> Chart:
    """Draw photos over time."""
    top = round_up(max((each.photos for each in found), default=0))
    shapes = [_line((0, HEIGHT / 2), (WIDTH, HEIGHT / 2), "grid")]
    for each in found:
        start, end = axis.at(each.start), axis.at(each.end)
        high = HEIGHT * each.photos / top
        shapes.append(_rect(start, HEIGHT - high, max(_LEAST_WIDTH, (end - start) * (1 - _GAP)), high, "part first"))
    return Chart(svg=_svg(label, shapes), top=f"{top}", bottom="0", ticks=axis.ticks(write), kind="time")


def tests(
    axis: Axis, windows: Sequence[TestedWindow], names: Mapping[str, str], label: str, write: Callable[[date], str]
) -> Chart:
    """Draw a row per test and a cell per window: full if the test rejected, thin otherwise."""
    row = HEIGHT / len(TESTS)
    shapes: list[Markup] = []
    for window in windows:
        start, end = axis.at(window.start), axis.at(window.end)
        width = max(_LEAST_WIDTH, end - start)
        rejected = {each.test for each in window.rejected}
        for n, test in enumerate(TESTS):
            kind, share = ("missed", 0.8) if test in rejected else ("kept", 0.16)
            shapes.append(_rect(start, row * (n + 0.5 - share / 2), width, row * share, kind))
    rows = tuple(names[test] for test in TESTS)
    return Chart(svg=_svg(label, shapes), rows=rows, ticks=axis.ticks(write), kind="tests time")


def accuracy(
    axis: Axis,
    windows: Sequence[TestedWindow],
    labelled: Sequence[TrueAccuracy],
    label: str,
    percent: Callable[[float], str],
    write: Callable[[date], str],
) -> Chart:
    """Draw estimates as boxes of their interval with a line at the value, and accuracy from labels above them."""
    known = [(window, window.estimate) for window in windows if isinstance(window.estimate, Share)]
    low = floor_of([*(each.interval[0] for _, each in known), *(each.accuracy.interval[0] for each in labelled)])
    shapes = [_line((0, HEIGHT / 2), (WIDTH, HEIGHT / 2), "grid")]
    for window, share in known:
        start, width = axis.at(window.start), max(_LEAST_WIDTH, axis.at(window.end) - axis.at(window.start))
        top, bottom = (_height(bound, low) for bound in reversed(share.interval))
        shapes.append(_rect(start, top, width, bottom - top, "band"))
        at = _height(share.value, low)
        shapes.append(_line((start, at), (start + width, at), "estimate"))
    for each in labelled:
        start, end = axis.at(each.start), axis.at(each.end)
        shapes += _measured((start + end) / 2, (end - start) / 2, each.accuracy, low, "labelled")
    return Chart(svg=_svg(label, shapes), top=percent(1.0), bottom=percent(low), ticks=axis.ticks(write), kind="time")


def versions(axis: Axis, bands: Sequence[Serving], label: str, version: Callable[[int], str]) -> Chart:
    """Draw the active versions as bands, each labelled at its start."""
    shapes: list[Markup] = []
    ticks: list[Tick] = []
    for n, band in enumerate(bands):
        start, end = axis.at(band.start), axis.at(band.end)
        shapes.append(_rect(start, 0, max(_LEAST_WIDTH, end - start), HEIGHT, f"version {'odd' if n % 2 else 'even'}"))
        if not ticks or start - ticks[-1].place * WIDTH / 100 > WIDTH / 4:
            ticks.append(Tick(place=start / WIDTH * 100, words=version(band.version)))
    return Chart(svg=_svg(label, shapes), ticks=tuple(ticks), kind="strip")


def round_up(value: int) -> int:
    """Return the end of an axis: even, so that its middle is a whole number, and at least 2."""
    step = 10 ** max(0, len(str(value)) - 2)
    return max(2, -(-value // (2 * step)) * 2 * step)


def floor_of(shares: Sequence[float]) -> float:
    """Return where an axis of shares begins: a tenth below the lowest of them, at most 90 %."""
    return max(0.0, min(0.9, int(min(shares, default=0.9) * 10) / 10))


def _days(days: Sequence[date], write: Callable[[date], str]) -> tuple[Tick, ...]:
    """Labels of the first day of each week of the month, below the middle of its bar."""
    return tuple(
        Tick(place=100 * (n + 0.5) / len(days), words=write(day)) for n, day in enumerate(days) if n % _WEEK == 0
    )


def _height(share: float, low: float) -> float:
    return HEIGHT * (1 - max(0.0, share - low) / (1 - low))


def _measured(x: float, half: float, share: Share, low: float, kind: str) -> list[Markup]:
    """A share with its interval: one upright line, and one across at the value."""
    at, (bottom, top) = _height(share.value, low), (_height(bound, low) for bound in share.interval)
    return [_line((x, top), (x, bottom), f"range {kind}"), _line((x - half, at), (x + half, at), kind)]


def _rect(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        kind, x, y, width, height
    )


def _line(start: tuple[float, float], end: tuple[float, float], kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, *start, *end)


def _svg(label: str, shapes: Iterable[Markup]) -> Markup:
    frame = f"0 0 {WIDTH:g} {HEIGHT:g}"
    return Markup('<svg viewBox="{}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>').format(
        frame, label, Markup().join(shapes)
    )
