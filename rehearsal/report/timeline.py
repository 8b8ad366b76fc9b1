"""Releases as a picture: a lane for each channel, a bar for each version while it was in force."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape


@dataclass(frozen=True, kw_only=True)
class Release:
    """A channel moved.

    `at` counts seconds since the rehearsal's start; `what` is `promote` or `rollback`; `answered_after` are the
    seconds until every endpoint that follows the channel answered from `version`, None if nobody measured it.
    `by` is the ARN of the person who moved it.
    """

    at: float
    channel: str
    version: int
    what: str
    answered_after: float | None = None
    why: str = ""
    by: str = ""


type _Scale = Callable[[float], float]

_WIDTH, _LEFT, _RIGHT, _LANE, _BAR, _TOP, _AXIS = 920, 64, 20, 62, 24, 26, 30
_NOTE = 90


_ROUND, _MOST_MARKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600), 8


def draw(releases: Sequence[Release]) -> str:
    """All releases over time, as one SVG element; channels from top to bottom in the order of their first move."""
    ordered = sorted(releases, key=lambda release: release.at)
    lanes = list(dict.fromkeys(release.channel for release in ordered))
    start = ordered[0].at if ordered else 0.0
    end = max((release.at + (release.answered_after or 0.0) for release in ordered), default=1.0)
    margin = max(1.0, 0.08 * (end - start))
    scale = (_WIDTH - _LEFT - _RIGHT) / (end - start + 2 * margin)

    def x(seconds: float) -> float:
        return round(_LEFT + (seconds - start + margin) * scale, 1)

    drawn = [
        _lane(name, row, [r for r in ordered if r.channel == name], x, end + margin) for row, name in enumerate(lanes)
    ]
    height = _TOP + _LANE * len(lanes) + _AXIS
    axis = _axis(start, end, x, height - _AXIS + 4)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" class="timeline" role="img"'
        f' viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">'
        f"<title>Releases over time</title><style>{_STYLE}</style>{''.join(drawn)}{axis}</svg>"
    )


def _lane(name: str, row: int, releases: Sequence[Release], x: _Scale, end: float) -> str:
    y = _TOP + row * _LANE
    parts = [f'<text x="0" y="{y + 17}" class="t-lane">{escape(name)}</text>']
    stops = [*[release.at for release in releases[1:]], end]
    for release, stop in zip(releases, stops, strict=True):
        left, width = x(release.at), round(x(stop) - x(release.at), 1)
        kind = "t-first" if release.version % 2 else "t-second"
        parts.append(
            f'<rect x="{left:g}" y="{y}" width="{max(width - 2, 2):g}" height="{_BAR}" rx="3" class="{kind}"/>'
        )
        if width > 24:
            parts.append(f'<text x="{left + 8:g}" y="{y + 16}" class="t-version">{_version(release, width)}</text>')
        if release.what == "rollback":
            parts.append(f'<path d="M{left:g} {y - 6} l-4 -7 h8 z" class="t-back"/>')
        if release.answered_after is not None and width > _NOTE:  # the table below the picture says it in any case
            parts.append(f'<text x="{left:g}" y="{y + _BAR + 15}" class="t-note">{escape(_note(release))}</text>')
    return "".join(parts)


def _version(release: Release, width: float) -> str:
    return f"version {release.version}" if width > 80 else f"v{release.version}"


def _note(release: Release) -> str:
    word = "back after" if release.what == "rollback" else "after"
    return f"{word} {release.answered_after:.1f} s"


def _axis(start: float, end: float, x: _Scale, y: float) -> str:
    """Marks at round numbers of seconds, four to eight of them."""
    span = max(end - start, 1.0)
    step = next((step for step in _ROUND if span / step <= _MOST_MARKS), math.ceil(span / _MOST_MARKS))
    marks: list[str] = []
    at = (int(start) // step + (1 if start % step else 0)) * step
    while at <= end:
        left = x(at)
        marks.append(
            f'<path d="M{left:g} {y - 4:g} v5" class="t-mark"/>'
            f'<text x="{left:g}" y="{y + 16:g}" class="t-time">{_clock(at)}</text>'
        )
        at += step
    return "".join(marks)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


_STYLE = """
.timeline{font-family:ui-sans-serif,system-ui,"Segoe UI",Helvetica,Arial,sans-serif}
.t-lane{font-size:14px;font-weight:600;fill:var(--ink,#1d2228)}.t-version{font-size:12px;fill:#fff}
.t-note,.t-time{font-size:11px;fill:var(--soft,#68707a);font-variant-numeric:tabular-nums}.t-time{text-anchor:middle}
.t-first{fill:#3a6ea5}.t-second{fill:#3f7d5a}.t-back{fill:#b3492f}.t-mark{stroke:var(--line,#cfd4da)}
"""
