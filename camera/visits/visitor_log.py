"""From one camera's predictions to events: `visits` decides, this module adds ids and times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from camera.event import Event, EventKind, new_id, written
from camera.settings import CameraSettings
from camera.timing import TimeSource
from camera.visits.recorder import Recorder, Unblurred
from camera.visits.visits import Began, Change, ClassifiedFrame, Track, VisitTracker, advance, close, elapse


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A classified frame, when it arrived (monotonic) and when it was taken (seconds since 1970)."""

    photo: bytes
    arrived: float
    taken: float
    clock: TimeSource
    moving: bool
    model: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Visit:
    id: str
    began: float
    clock: TimeSource


class VisitorLog:
    """Visitors of one camera. Used by the classifying thread; others may read `visiting` and `visits`."""

    def __init__(self, settings: CameraSettings, *, recorder: Recorder) -> None:
        self._camera = settings.name
        self._rules = settings.rules
        self._recorder = recorder
        self._presence: VisitTracker[Snapshot] = VisitTracker()
        self._open: dict[str, _Visit] = {}
        self.visits = 0

    @property
    def visiting(self) -> tuple[str, ...]:
        """Labels of the active visits."""
        return self._presence.visiting

    def take(self, snapshot: Snapshot, probabilities: Mapping[str, float]) -> None:
        """Process a prediction."""
        seen = ClassifiedFrame(
            at=snapshot.arrived, probabilities=probabilities, moving=snapshot.moving, picture=snapshot
        )
        self._presence, changes = advance(self._presence, seen, self._rules)
        self._record(changes, snapshot)

    def elapse(self, now: float) -> None:
        """Advance to a later time without a frame."""
        self._presence, changes = elapse(self._presence, now, self._rules)
        self._record(changes, None)

    def close(self) -> None:
        """End every visit."""
        self._presence, changes = close(self._presence)
        self._record(changes, None)

    def _record(self, changes: Sequence[Change[Snapshot]], now: Snapshot | None) -> None:
        for change in changes:
            track = change.track
            if isinstance(change, Began):
                assert now is not None  # noqa: S101 - only a prediction begins a visit
                began = now.taken - (now.arrived - track.first)
                self._open[track.label] = visit = _Visit(id=new_id(), began=began, clock=now.clock)
                self.visits += 1
                self._hand_over("began", track, visit, why=None)
            else:
                self._hand_over("ended", track, self._open.pop(track.label), why=change.why.value)

    def _hand_over(self, kind: EventKind, track: Track[Snapshot], visit: _Visit, *, why: str | None) -> None:
        seconds = track.last - track.first
        best = track.best
        event = Event(
            id=new_id(),
            kind=kind,
            visit=visit.id,
            camera=self._camera,
            label=track.label,
            score=round(best.score, 6),
            at=written(visit.began if kind == "began" else visit.began + seconds),
            seconds=round(seconds, 3),
            why=why,
            clock=visit.clock.value,
            model=dict(best.picture.model),
        )
        self._recorder.record(Unblurred(event=event, photo=best.picture.photo))
