"""From predictions for single frames to visits: hysteresis as a pure state machine, one track per label.

Times are seconds of a clock that never jumps. Independent of cameras, threads and files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from camera.settings import VisitRules


@dataclass(frozen=True, kw_only=True)
class ClassifiedFrame[P]:
    """One classified frame. `picture` is kept for the best frame of a visit."""

    at: float
    probabilities: Mapping[str, float]
    moving: bool
    picture: P


@dataclass(frozen=True, kw_only=True)
class BestFrame[P]:
    """The frame with the highest probability of a track."""

    score: float
    picture: P


@dataclass(frozen=True, kw_only=True)
class Track[P]:
    """The state of one label: a candidate, or (`confirmed`) a visit."""

    label: str
    first: float
    last: float
    moved: float
    best: BestFrame[P]
    confirmed: bool = False


class Ending(StrEnum):
    """Why a visit ended."""

    LEFT = "left"
    QUIET = "quiet"
    UNSEEN = "unseen"
    """No more frames were classified: camera or endpoint is unreachable, so the end is unknown."""
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class Began[P]:
    """A visit was confirmed; it began with `track.first`."""

    track: Track[P]


@dataclass(frozen=True, kw_only=True)
class Ended[P]:
    """A visit ended; it was last seen at `track.last`."""

    track: Track[P]
    why: Ending


type Change[P] = Began[P] | Ended[P]


@dataclass(frozen=True, kw_only=True)
class VisitTracker[P]:
    """Visitors of one camera; `advance`, `elapse` and `close` return the next state and the changes."""

    tracks: Mapping[str, Track[P]] = field(default_factory=dict[str, Track[P]])
    classified: float | None = None
    """When the last frame was classified."""

    @property
    def visiting(self) -> tuple[str, ...]:
        """Labels of the active visits, sorted."""
        return tuple(sorted(label for label, track in self.tracks.items() if track.confirmed))


def advance[P](
    before: VisitTracker[P], seen: ClassifiedFrame[P], rules: VisitRules
) -> tuple[VisitTracker[P], list[Change[P]]]:
    """Process one frame; frames come in order of time. Returns the next state and the changes."""
    elapsed, changes = elapse(before, seen.at, rules)
    tracks = dict(elapsed.tracks)
    for label, score in seen.probabilities.items():
        if label in rules.background:
            continue
        track = _next(tracks.pop(label, None), label, score, seen, rules)
        if track is None:
            continue
        if not track.confirmed and track.last - track.first >= rules.confirm_seconds:
            track = replace(track, confirmed=True)
            changes.append(Began(track=track))
        tracks[label] = track
    return VisitTracker(tracks=tracks, classified=seen.at), changes


def elapse[P](before: VisitTracker[P], now: float, rules: VisitRules) -> tuple[VisitTracker[P], list[Change[P]]]:
    """Advance without a frame. Returns the next state and the ended visits, in the order of their ends."""
    kept: dict[str, Track[P]] = {}
    changes: list[Change[P]] = []
    ends = {label: (_end(track, rules), label) for label, track in before.tracks.items()}
    for label, track in sorted(before.tracks.items(), key=lambda both: ends[both[0]]):
        why = _ending(track, before, now, rules)
        if why is None:
            kept[label] = track
        elif track.confirmed:
            changes.append(Ended(track=track, why=why))
    return replace(before, tracks=kept), changes


def close[P](before: VisitTracker[P]) -> tuple[VisitTracker[P], list[Ended[P]]]:
    """End every visit, because the agent stops. Returns the next state and the ended visits."""
    ended = [Ended(track=track, why=Ending.STOPPED) for track in before.tracks.values() if track.confirmed]
    return VisitTracker(), ended


def _next[P](
    track: Track[P] | None, label: str, score: float, seen: ClassifiedFrame[P], rules: VisitRules
) -> Track[P] | None:
    if track is None:
        if score < rules.enter or not seen.moving:
            return None
        best = BestFrame(score=score, picture=seen.picture)
        return Track(label=label, first=seen.at, last=seen.at, moved=seen.at, best=best)
    if score < rules.stay:
        return track if track.confirmed else None
    best = BestFrame(score=score, picture=seen.picture) if score > track.best.score else track.best
    return replace(track, last=seen.at, moved=seen.at if seen.moving else track.moved, best=best)


def _end[P](track: Track[P], rules: VisitRules) -> float:
    """When the track ends if it is not seen again."""
    return min(track.last + rules.leave_seconds, track.moved + rules.quiet_seconds)


def _ending[P](track: Track[P], presence: VisitTracker[P], now: float, rules: VisitRules) -> Ending | None:
    if now - track.last >= rules.leave_seconds:
        looked = presence.classified is not None and presence.classified > track.last
        return Ending.LEFT if looked else Ending.UNSEEN
    if now - track.moved >= rules.quiet_seconds:
        return Ending.QUIET
    return None
