"""True accuracy over time, from labelled photos, and agreement between people."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from monitoring.late_labels.estimates import Agreement, Counts, cohens_kappa, stratified_accuracy
from monitoring.late_labels.records import (
    Answer,
    Given,
    PersonLog,
    Sample,
    SampledPhoto,
    Stratum,
    hours_of,
    people_of,
    read_sample,
    sample_ids,
)
from registry.intervals import Interval
from registry.store.object_store import ObjectStore
from registry.versions.abstention import BACKGROUND

MOST_PEOPLE: Final = 3
"""People per photo: two who disagree, and a third who decides."""


class State(StrEnum):
    """State of a photo's labels."""

    OPEN = "open"
    """It still needs labels."""
    DISPUTED = "disputed"
    """Two people disagree, and a third has to label it."""
    SETTLED = "settled"
    UNKNOWN = "unknown"
    """Nobody could tell the class, or three people gave three labels."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The combined label of a photo."""

    state: State
    answer: Given | None = None
    """One of the labels that decided it."""


def truth(given: Sequence[Given], *, twice: bool) -> Truth:
    """Returns the combined label of different people's current labels."""
    if len(given) < (2 if twice else 1):
        return Truth(state=State.OPEN)
    (word, votes), *_ = Counter(each.word for each in given).most_common()
    if votes * 2 <= len(given):
        return Truth(state=State.DISPUTED if len(given) < MOST_PEOPLE else State.UNKNOWN)
    answer = next(each for each in given if each.word == word)
    return Truth(state=State.UNKNOWN if answer.answer is Answer.UNKNOWN else State.SETTLED, answer=answer)


def is_right(predicted: str, answer: Given) -> bool:
    """Returns whether the predicted class equals the label; a class of empty scenes is correct for "neither"."""
    return predicted in BACKGROUND if answer.answer is Answer.NEITHER else predicted == answer.label


@dataclass(frozen=True, kw_only=True)
class LabelledSample:
    """A sample with each person's current labels."""

    sample: Sample
    given: Mapping[int, Sequence[Given]]
    """By the photo's number in the sample, counted from 1; the first label first."""

    def truths(self) -> Iterator[tuple[int, SampledPhoto, Truth]]:
        """Yields each photo with its number and combined label."""
        for number, photo in enumerate(self.sample.photos, start=1):
            yield number, photo, truth(self.given.get(number, ()), twice=photo.twice)


@dataclass(frozen=True, kw_only=True)
class TrueAccuracy:
    """Accuracy of a group of recorded predictions; fields that are not grouped by are None."""

    week: str | None
    """ISO 8601: 2026-W48"""
    camera: str | None
    version: int | None
    recorded: int
    """Number of predictions with a thumbnail, which the labelled photos represent."""
    drawn: int
    labelled: int
    """Photos with a decided label."""
    open: int
    """Sampled photos that still need labels."""
    disputed: int
    """Sampled photos on which two people disagree."""
    unknown: int
    """Sampled photos whose class nobody could tell."""
    accuracy: float | None
    """None without labels."""
    interval: Interval
    """95 %; (0, 1) without labels."""
    covered: float
    """Share of the recorded predictions in strata with a label; the accuracy covers only these."""


_FIELDS: Final = ("week", "camera", "version")


def true_accuracy(samples: Sequence[LabelledSample], *, by: Sequence[str] = ("week",)) -> list[TrueAccuracy]:
    """Returns the accuracy of each group, ascending; `by`: any of week, camera and version; empty: one group.

    Raises ValueError for another field.
    """
    if unknown := set(by) - set(_FIELDS):
        raise ValueError(f"there is no grouping by {', '.join(sorted(unknown))}; only by {', '.join(_FIELDS)}")
    groups: dict[tuple[str | int, ...], list[_Tally]] = {}
    for sample in samples:
        for tally in _tallies(sample):
            groups.setdefault(tuple(getattr(tally.stratum, name) for name in by), []).append(tally)
    return [_accuracy(dict(zip(by, key, strict=True)), groups[key]) for key in sorted(groups)]


def agreement(samples: Sequence[LabelledSample]) -> Agreement | None:
    """Returns the agreement of the first two people on photos with two labels; None without such photos."""
    pairs = [
        (given[0].word, given[1].word)
        for sample in samples
        for number, photo in enumerate(sample.sample.photos, start=1)
        if photo.twice and len(given := sample.given.get(number, ())) > 1
    ]
    return cohens_kappa([one for one, _ in pairs], [other for _, other in pairs]) if pairs else None


def read_labelled(
    store: ObjectStore, stack: str, *, start: datetime | None = None, end: datetime | None = None
) -> list[LabelledSample]:
    """Returns the samples of a stack, oldest first, with all labels. Raises `LabelRecordMalformed`, the store's errors.

    Only samples that overlap the time from `start` (included) to `end` (excluded); None: no bound.
    """
    found: list[LabelledSample] = []
    for name in sample_ids(store, stack):
        begin, over = hours_of(name)
        if (end is None or begin < end) and (start is None or over > start):
            logs = [PersonLog(store, stack, name, person) for person in people_of(store, stack, name)]
            for log in logs:
                log.refresh()
            found.append(labelled(read_sample(store, stack, name), logs))
    return found


def labelled(sample: Sample, logs: Sequence[PersonLog]) -> LabelledSample:
    """Returns the sample with the people's labels, as of the last read of their logs."""
    given: dict[int, list[Given]] = {}
    for log in logs:
        for number, each in log.standing().items():
            given.setdefault(number, []).append(each)
    return LabelledSample(
        sample=sample,
        given={number: sorted(each, key=lambda one: (one.at, one.person)) for number, each in given.items()},
    )


@dataclass
class _Tally:
    stratum: Stratum
    states: Counter[State]
    right: int = 0


def _tallies(labelled: LabelledSample) -> list[_Tally]:
    tallies = [_Tally(stratum, Counter()) for stratum in labelled.sample.strata]
    for _, photo, found in labelled.truths():
        tally = tallies[photo.stratum]
        tally.states[found.state] += 1
        if found.state is State.SETTLED and found.answer is not None:
            tally.right += is_right(tally.stratum.label, found.answer)
    return tallies


def _accuracy(group: Mapping[str, str | int], tallies: Sequence[_Tally]) -> TrueAccuracy:
    states = sum((each.states for each in tallies), Counter[State]())
    found = stratified_accuracy(
        [
            Counts(recorded=each.stratum.recorded, labelled=each.states[State.SETTLED], right=each.right)
            for each in tallies
        ]
    )
    week, camera, version = group.get("week"), group.get("camera"), group.get("version")
    return TrueAccuracy(
        week=None if week is None else str(week),
        camera=None if camera is None else str(camera),
        version=None if version is None else int(version),
        recorded=sum(each.stratum.recorded for each in tallies),
        drawn=states.total(),
        labelled=states[State.SETTLED],
        open=states[State.OPEN],
        disputed=states[State.DISPUTED],
        unknown=states[State.UNKNOWN],
        accuracy=None if found is None else found.accuracy,
        interval=(0.0, 1.0) if found is None else found.interval,
        covered=0.0 if found is None else found.covered,
    )
