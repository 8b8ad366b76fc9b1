"""Charts as inline SVG: pure functions from figures to markup, coloured by the page's style sheet.

Classes: `grid` for helping lines, `mark` for what was measured, `range` for its interval, `ideal` for what it is held
against, `bad` for what is worse beyond luck. Every chart says in its label what it shows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from registry.intervals import Interval
from training.evaluation.figures.reliability import Bin
from training.evaluation.figures.risk import RiskCoverage
from training.evaluation.figures.slices import Slice
from training.evaluation.reporting.formatting import percent
from training.job import EpochRecord

LINES: Final = ("first", "second", "third")
"""Classes of several lines in one chart, in their order."""

type Curves = Mapping[str, Sequence[tuple[float, Interval]]]
"""Corruption -> accuracy and its interval at severity 1 to 5."""

_EPOCHS_WIDTH: Final = 640
_EPOCHS_HEIGHT: Final = 180


def reliability_diagram(bins: Sequence[Bin], *, side: int = 260) -> Markup:
    """Draw the share that is right over confidence, both 0 to 100 %; on the diagonal, confidence can be believed."""
    parts = [_line((0, side), (side, 0), "ideal")]
    most = max((each.photos for each in bins), default=0) or 1
    for each in bins:
        if each.photos:
            x = each.confidence * side
            low, high = (side * (1 - bound) for bound in each.interval)
            bar = 36 * each.photos / most
            width = side / len(bins) - 2
            parts += [
                Markup('<rect class="count" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                    each.low * side + 1, side - bar, width, bar
                ),
                _line((x, low), (x, high), "range"),
                _dot(x, side * (1 - each.accuracy), "mark"),
            ]
    axes = [
        _text(0, side + 18, "0 %"),
        _text(side, side + 18, "100 %", "end"),
        _text(side / 2, side + 18, "confidence", "middle"),
    ]
    axes += [_text(-6, side, "0", "end"), _text(-6, 6, "100 %", "end")]
    return _svg(
        (-48, -10, side + 70, side + 36),
        "Reliability: share of right answers over confidence, with 95 % intervals and the number of photos",
        [_grid(side, side), *parts, *axes],
    )


def shares(values: Mapping[str, tuple[float, Interval]], *, width: int = 960) -> Markup:
    """Draw each named share from 0 to 100 % with its 95 % interval."""
    left, row, right = 360, 26, 240
    span = width - left - right
    parts: list[Markup] = []
    for place, (name, (value, (low, high))) in enumerate(values.items()):
        y = place * row + row / 2
        parts += [
            _text(left - 10, y + 4, name, "end"),
            _line((left, y), (left + span, y), "grid"),
            _line((left + span * low, y), (left + span * high, y), "range"),
            _dot(left + span * value, y, "mark"),
            _text(width, y + 4, f"{percent(value)} ({percent(low)} to {percent(high)})", "end"),
        ]
    return _svg((0, 0, width, row * len(values)), "Shares of answers when it may abstain", parts)


def risk_coverage(risk: RiskCoverage, *, width: int = 420) -> Markup:
    """Draw the share of wrong answers over the share of photos that is answered, the surest first."""
    # The first few answers have very wide intervals; they may leave the chart.
    height, top = 200, max(0.02, *(point.interval[1] for point in risk.curve[len(risk.curve) // 4 :]))

    def at(answered: float, wrong: float) -> tuple[float, float]:
        return answered * width, height * (1 - min(wrong, top) / top)

    band = [at(point.answered, point.interval[1]) for point in risk.curve]
    band += [at(point.answered, point.interval[0]) for point in reversed(risk.curve)]
    served = at(risk.served.answered, risk.served.wrong)
    parts = [
        _grid(width, height),
        Markup('<polygon class="band" points="{}"/>').format(_points(band)),
        _polyline([at(point.answered, point.wrong) for point in risk.curve], LINES[0]),
        _dot(*served, "mark"),
        *_axes(width, height, percent(top), "photos that are answered"),
    ]
    return _svg((-56, -12, width + 92, height + 56), "Errors over the share of photos that is answered", parts)


def refusals(
    curves: Mapping[str, Sequence[tuple[float, float]]], served: Mapping[str, tuple[float, float]], *, width: int = 420
) -> Markup:
    """Draw the share of strange pictures that is refused over the share of test photos that is kept, from 50 %.

    `served` has for each kind both shares at the version's own limit.
    """
    height, least = 200, 0.5

    def at(share: float, refused: float) -> tuple[float, float]:
        return (share - least) / (1 - least) * width, height * (1 - refused)

    lines = [
        _polyline([at(*point) for point in curve], kind) for kind, curve in zip(LINES, curves.values(), strict=False)
    ]
    dots = [_dot(*at(max(kept, least), refused), "mark") for kept, refused in served.values()]
    parts = [
        _grid(width, height),
        *lines,
        *dots,
        *_axes(width, height, "100 %", "test photos that are kept", first="50 %"),
    ]
    return _svg((-56, -12, width + 92, height + 56), "Strange pictures refused over test photos kept", parts)


def _axes(width: float, height: float, top: str, across: str, *, first: str = "0 %") -> list[Markup]:
    ends = [_text(0, height + 18, first, "middle"), _text(width, height + 18, "100 %", "middle")]
    sides = [_text(-8, 4, top, "end"), _text(-8, height + 4, "0", "end")]
    return [*ends, *sides, _text(width / 2, height + 36, across, "middle")]


def forest(slices: Sequence[Slice], overall: float, *, width: int = 960) -> Markup:
    """Draw each slice's accuracy with its interval, next to that of all photos."""
    left, row, right = 300, 24, 120
    low = min([overall, *(each.interval[0] for each in slices)])
    start = max(0.0, int(low * 10) / 10)

    def x(share: float) -> float:
        return left + (share - start) / (1 - start) * (width - left - right)

    parts: list[Markup] = []
    steps = [start + (1 - start) * n / 4 for n in range(5)]
    height = row * len(slices)
    for step in steps:
        parts += [_line((x(step), 0), (x(step), height), "grid"), _text(x(step), height + 18, f"{step:.0%}", "middle")]
    parts.append(_line((x(overall), 0), (x(overall), height), "ideal"))
    for place, each in enumerate(slices):
        y = row * place + row / 2
        kind = " bad" if each.worse else ""
        parts += [
            _text(left - 12, y + 4, f"{each.column}: {each.value}", "end"),
            _line((x(each.interval[0]), y), (x(each.interval[1]), y), "range" + kind),
            _dot(x(each.accuracy), y, "mark" + kind),
            _text(width, y + 4, f"{percent(each.accuracy)} of {each.photos}", "end"),
        ]
    return _svg((0, -6, width, height + 32), "Accuracy of each slice with its 95 % interval", parts)


def small_multiples(curves: Curves, start: float, *, other: Curves | None = None, other_start: float = 0.0) -> Markup:
    """Draw accuracy over severity, a panel for each corruption; severity 0 is the photo as it is.

    With `other`, that of another model on the same photos is drawn too, as the second line.
    """
    side, gap, columns = 200, 40, 4
    parts: list[Markup] = []
    for place, (name, curve) in enumerate(curves.items()):
        left, top = (side + gap) * (place % columns), (side / 2 + 52) * (place // columns)

        def at(severity: int, share: float, left: float = left, top: float = top) -> tuple[float, float]:
            return left + side * severity / 5, top + side / 2 * (1 - share)

        upper = [at(n, high) for n, (_, (_, high)) in enumerate(curve, start=1)]
        lower = [at(n, low) for n, (_, (low, _)) in enumerate(curve, start=1)]
        parts += [
            *(_line(at(0, share), at(5, share), "grid") for share in (0, 0.5, 1)),
            _line(at(0, start), at(5, start), "ideal") if other is None else Markup(),
            Markup('<polygon class="band" points="{}"/>').format(_points([*upper, *reversed(lower)])),
            _polyline([at(0, start), *(at(n, share) for n, (share, _) in enumerate(curve, start=1))], LINES[0]),
            _text(left, top - 8, name, "start", "name"),
        ]
        end = f"{curve[-1][0]:.0%} at 5"
        if other is not None:
            theirs = [at(0, other_start), *(at(n, share) for n, (share, _) in enumerate(other[name], start=1))]
            parts.append(_polyline(theirs, LINES[1]))
            end = f"{curve[-1][0]:.0%} / {other[name][-1][0]:.0%}"
        parts.append(_text(left + side, top - 8, end, "end"))
    rows = -(-len(curves) // columns)
    box = (-4, -26, columns * (side + gap) - gap + 8, rows * (side / 2 + 52) - 14)
    sentence = "Accuracy from 0 to 100 % over severity 0 to 5, for each corruption"
    return _svg(box, sentence if other is None else f"{sentence}, of both versions", parts)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One measurement over a setting. `place` is where, from 0 to 1; `kind` a class of the style sheet, or nothing."""

    place: float
    value: float
    interval: Interval
    title: str
    kind: str = ""


def scatter(
    points: Sequence[Point], ticks: Mapping[float, str], label: str, bounds: Interval, *, width: int = 420
) -> Markup:
    """Draw measurements with their intervals over places from 0 to 1; `ticks` name places, `bounds` end the axis."""
    height, low, high = 200, *bounds

    def y(value: float) -> float:
        return height * (1 - (value - low) / ((high - low) or 1))

    parts = [_grid(width, height), _text(-8, 4, f"{high:.0%}", "end"), _text(-8, height + 4, f"{low:.0%}", "end")]
    parts += [_text(place * width, height + 20, words, "middle") for place, words in ticks.items()]
    for each in points:
        x = each.place * width
        drawn = [
            _line((x, y(each.interval[0])), (x, y(each.interval[1])), f"range {each.kind}".strip()),
            _dot(x, y(each.value), f"mark {each.kind}".strip()),
        ]
        parts.append(Markup("<g><title>{}</title>{}</g>").format(each.title, Markup().join(drawn)))
    return _svg((-56, -12, width + 92, height + 40), label, parts)


def epoch_lines(epochs: Sequence[EpochRecord]) -> tuple[Markup, Mapping[str, str]]:
    """Draw accuracy and losses over epochs, losses as shares of the highest; returns names and last values."""
    if not epochs:
        return Markup(), {}
    top = max(max(record.loss, record.train_loss) for record in epochs) or 1.0
    lines = {
        f"accuracy on validation photos: {epochs[-1].accuracy:.1%} at the end": [each.accuracy for each in epochs],
        f"loss on validation photos: {epochs[-1].loss:.3f} at the end": [each.loss / top for each in epochs],
        f"loss in training: {epochs[-1].train_loss:.3f} at the end": [each.train_loss / top for each in epochs],
    }
    step = _EPOCHS_WIDTH / max(1, len(epochs) - 1)
    drawn = [
        _polyline([(n * step, _EPOCHS_HEIGHT * (1 - value)) for n, value in enumerate(_a_line(values))], kind)
        for kind, values in zip(LINES, lines.values(), strict=True)
    ]
    box = (-6, -6, _EPOCHS_WIDTH + 12, _EPOCHS_HEIGHT + 12)
    chart = _svg(box, "Accuracy and losses over epochs", [_grid(_EPOCHS_WIDTH, _EPOCHS_HEIGHT), *drawn])
    return chart, dict(zip(lines, LINES, strict=True))


def _a_line(values: Sequence[float]) -> Sequence[float]:
    """Make one point two, so that there is something to see."""
    return values if len(values) > 1 else [*values, *values]


def _grid(width: float, height: float) -> Markup:
    return Markup().join(_line((0, height * n / 4), (width, height * n / 4), "grid") for n in range(5))


def _line(start: tuple[float, float], end: tuple[float, float], kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, *start, *end)


def _polyline(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    return Markup('<polyline class="{}" points="{}"/>').format(kind, _points(points))


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _dot(x: float, y: float, kind: str) -> Markup:
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(kind, x, y)


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(kind, x, y, anchor, words)


def _svg(box: tuple[float, float, float, float], label: str, parts: Iterable[Markup]) -> Markup:
    view = " ".join(f"{number:g}" for number in box)
    body = Markup().join(parts)
    return Markup('<svg viewBox="{}" role="img" aria-label="{}">{}</svg>').format(view, escape(label), body)
