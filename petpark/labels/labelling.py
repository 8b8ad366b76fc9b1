"""One person's labelling of a sample: the next photo, their labels, and the progress."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from monitoring.late_labels.records import Answer, Given, PersonLog, people_of
from monitoring.late_labels.true_accuracy import MOST_PEOPLE, LabelledSample, State, agreement, labelled
from monitoring.predictions import thumbnails
from registry.clock import Clock, utc_now
from registry.encoding import format_time
from registry.errors import ObjectMissing
from registry.identity import session_name

if TYPE_CHECKING:
    from monitoring.late_labels.records import Sample
    from registry.store.object_store import ObjectStore

_FRESH_SECONDS: Final = 5.0
"""Seconds for which other people's labels are cached, so that they are not listed for each photo."""

_FILES: Final = 16
"""Files of recorded predictions whose thumbnails are kept; the sample has few photos of each."""


class PhotoGone(Exception):
    """The photo's thumbnail has expired, or there is no such photo."""


class LabelInvalid(ValueError):
    """The label's class or photo is not in the sample, or three people have decided the photo."""


class Labelling:
    """One person's work on one sample. Thread-safe; each method may raise the store's errors."""

    def __init__(
        self,
        store: ObjectStore,
        sample: Sample,
        *,
        by: str,
        clock: Clock = utc_now,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        """`by`: ARN of the person, as STS reports it; their log has the name of the session."""
        self.sample = sample
        self.by = by
        self.person = session_name(by)
        self._store = store
        self._clock = clock
        self._timer = timer
        self._lock = threading.RLock()
        self._mine = PersonLog(store, sample.stack, sample.id, self.person)
        self._others: dict[str, PersonLog] = {}
        self._refreshed: float | None = None
        self._files: OrderedDict[str, Sequence[bytes | None]] = OrderedDict()
        # A random order per person, which reveals neither strata nor other people's labels.
        self._order = list(range(1, len(sample.photos) + 1))
        random.Random(f"{sample.id}/{sample.seed}/{self.person}").shuffle(self._order)  # noqa: S311  no secret

    def refresh(self, *, now: bool = False) -> None:
        """Read the person's own labels, and those of others if the cache has expired."""
        with self._lock:
            self._mine.refresh()
            if not now and self._refreshed is not None and self._timer() - self._refreshed < _FRESH_SECONDS:
                return
            for person in people_of(self._store, self.sample.stack, self.sample.id):
                if person != self.person:
                    new = PersonLog(self._store, self.sample.stack, self.sample.id, person)
                    self._others.setdefault(person, new).refresh()
            self._refreshed = self._timer()

    def say(self, photo: int, answer: Answer, label: str | None, *, seen: int | None) -> None:
        """Record a label. `seen`: number of the person's current record when they decided; None if there was none.

        Raises LabelInvalid, LabelsMoved.
        """
        self._refuse(photo, answer, label)
        with self._lock:
            if len(self._everything().given.get(photo, ())) >= MOST_PEOPLE:
                raise LabelInvalid(f"photo {photo} was decided by {MOST_PEOPLE} people")
            self._mine.refresh()
            self._mine.add(photo, answer, label, by=self.by, at=format_time(self._clock()), seen=seen)

    def undo(self, photo: int, *, seen: int) -> None:
        """Withdraw the person's record `seen` about a photo. Raises LabelInvalid, LabelsMoved."""
        self.say(photo, Answer.WITHDRAWN, None, seen=seen)

    def picture(self, photo: int) -> bytes:
        """Read the thumbnail of a photo. Raises PhotoGone."""
        if not 1 <= photo <= len(self.sample.photos):
            raise PhotoGone(f"the sample has no photo {photo}")
        wanted = self.sample.photos[photo - 1]
        with self._lock:
            rows = self._files.get(wanted.key)
        if rows is None:
            try:
                rows = thumbnails(self._store, wanted.key)
            except ObjectMissing:
                raise PhotoGone(f"photo {photo} is no longer among the recorded predictions") from None
            with self._lock:
                self._files[wanted.key] = rows
                while len(self._files) > _FILES:
                    self._files.popitem(last=False)
        found = rows[wanted.row] if wanted.row < len(rows) else None
        if found is None:
            raise PhotoGone(f"photo {photo} has no thumbnail")
        return found

    def state(self) -> Mapping[str, Any]:
        """Return the page's state: without predictions, and without other people's labels of photos still to label."""
        with self._lock:
            mine = self._mine.standing()
            everything = self._everything()
        queue = self._queue(everything, mine)
        agreed = agreement([everything])
        return {
            "sample": self.sample.id,
            "stack": self.sample.stack,
            "person": self.person,
            "classes": list(self.sample.classes),
            "queue": queue,
            "mine": [
                {"photo": each.photo, "answer": each.answer, "label": each.label, "record": each.number}
                for each in mine.values()
            ],
            "progress": self._progress(everything, mine, queue),
            "agreement": agreed
            and {
                "photos": agreed.photos,
                "share": agreed.share,
                "kappa": agreed.kappa,
                "low": agreed.interval[0],
                "high": agreed.interval[1],
            },
            "disputed": self._disputed(everything, mine),
        }

    def _everything(self) -> LabelledSample:
        return labelled(self.sample, [self._mine, *self._others.values()])

    def _refuse(self, photo: int, answer: Answer, label: str | None) -> None:
        if not 1 <= photo <= len(self.sample.photos):
            raise LabelInvalid(f"the sample has no photo {photo}")
        if answer is Answer.CLASS and label not in self.sample.classes:
            raise LabelInvalid(f"{label!r} is not one of the classes")
        if answer is not Answer.CLASS and label is not None:
            raise LabelInvalid(f"the answer {answer} has no class")

    def _queue(self, everything: LabelledSample, mine: Mapping[int, Given]) -> list[int]:
        """Photos that still need this person's label: disputed ones, which only a third can decide, first."""
        wanted = {
            number: found.state
            for number, _, found in everything.truths()
            if number not in mine and found.state in (State.OPEN, State.DISPUTED)
        }
        order = [number for number in self._order if number in wanted]
        return sorted(order, key=lambda number: wanted[number] is not State.DISPUTED)

    def _progress(
        self, everything: LabelledSample, mine: Mapping[int, Given], queue: Sequence[int]
    ) -> Mapping[str, int]:
        states = [found.state for _, _, found in everything.truths()]
        return {
            "photos": len(states),
            "settled": states.count(State.SETTLED),
            "unknown": states.count(State.UNKNOWN),
            "disputed": states.count(State.DISPUTED),
            "mine": len(mine),
            "waiting": len(queue),
        }

    def _disputed(self, everything: LabelledSample, mine: Mapping[int, Given]) -> list[Mapping[str, Any]]:
        """The person's disputed photos; other people's labels only once theirs is final."""
        return [
            {
                "photo": number,
                "waiting": found.state is State.DISPUTED,
                "said": [
                    {"person": each.person, "answer": each.answer, "label": each.label}
                    for each in everything.given[number]
                    if found.state is not State.DISPUTED or each.person == self.person
                ],
            }
            for number, _, found in everything.truths()
            if number in mine and len({each.word for each in everything.given[number]}) > 1
        ]
