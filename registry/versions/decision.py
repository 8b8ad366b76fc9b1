"""Which class a version's probabilities mean: the most probable, unless a file of the version names a threshold.

Training writes the file and computes its figures by this rule; serving reads it and answers by the same.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Self

from registry.encoding import canonical, parse_canonical

DECISION_FILE: Final = "decision.json"
"""Name of the file; a version without it answers by the largest probability."""

_NEVER: Final = 1.0000000000000002  # the least number above every probability


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Answer `positive` from a probability of `threshold` on, and the most probable of the other classes below it."""

    positive: str  # label of the class that raises an alarm
    threshold: float  # 0: always; above 1: never
    false_positive_cost: float  # what it was chosen for
    false_negative_cost: float

    def to_json(self) -> bytes:
        """Write canonical JSON."""
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes, labels: Sequence[str]) -> Self:
        """Read canonical JSON, strictly; ValueError, also for a class that is none of `labels`."""
        fields = parse_canonical(data)
        decision = cls(
            positive=fields.text("positive"),
            threshold=fields.number("threshold"),
            false_positive_cost=fields.number("false_positive_cost"),
            false_negative_cost=fields.number("false_negative_cost"),
        )
        fields.done()
        if decision.positive not in labels:
            raise ValueError(f"field 'positive' names {decision.positive!r}, none of: {', '.join(labels)}")
        if not 0 <= decision.threshold <= _NEVER:
            raise ValueError(f"field 'threshold' is {decision.threshold}; a probability is from 0 to 1")
        return decision


def decide(scores: Sequence[float], labels: Sequence[str], decision: Decision | None) -> int:
    """Returns the place of the answer among `labels`; `scores` are their probabilities, as float64."""
    places: Sequence[int] = range(len(labels))
    if decision is not None:
        positive = labels.index(decision.positive)
        if scores[positive] >= decision.threshold:
            return positive
        places = [place for place in places if place != positive]
    return max(places, key=scores.__getitem__)


def is_steady(scores: Sequence[float], labels: Sequence[str], decision: Decision | None, *, within: float) -> bool:
    """Whether all scores within `within` of these get the same answer."""
    answer = decide(scores, labels, decision)
    if decision is not None:
        positive = labels.index(decision.positive)
        if abs(scores[positive] - decision.threshold) <= within:
            return False
        if answer == positive:
            return True
    best = sorted((score for place, score in enumerate(scores) if _competes(place, labels, decision)), reverse=True)
    return len(best) == 1 or best[0] - best[1] > 2 * within


def _competes(place: int, labels: Sequence[str], decision: Decision | None) -> bool:
    return decision is None or labels[place] != decision.positive
