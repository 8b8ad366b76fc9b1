"""When an answer is a set of classes, or none: the record that a version carries, and the rule that reads it.

Training calibrates the record by split-conformal prediction (Angelopoulos & Bates, 2021) and computes its figures by
this rule; serving answers by the same. See docs/design/abstention.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Self

from registry.encoding import canonical, parse_canonical

ABSTENTION_FILE: Final = "abstention.json"
"""Name of the file; a version without it cannot abstain."""

NEITHER: Final = "neither"
"""The answer to a photo that shows none of the classes."""

BACKGROUND: Final = frozenset({"background", "empty", "nobody", "none", NEITHER})
"""Labels of classes that show no visitor: declared by their name alone, and answered as `neither`."""

_FORMAT: Final = 1


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """Which strangeness is too much, and which probability is enough for a class to be part of the answer."""

    coverage: float  # target: the least share of photos of the classes whose answer contains their class
    strangeness: float  # most of an answer that is not `neither`
    thresholds: Mapping[str, float]  # label -> least probability to be part of the answer
    grouped_by: str  # the column whose groups were left out in calibration; empty: photos, because there are none
    groups: int  # how many were left out; 0 without a column
    photos: int  # that the strangeness was calibrated on

    def to_json(self) -> bytes:
        """Write canonical JSON."""
        return canonical({"format": _FORMAT, **asdict(self), "thresholds": dict(self.thresholds)})

    @classmethod
    def from_json(cls, data: bytes, labels: Sequence[str]) -> Self:
        """Read canonical JSON, strictly; ValueError, also where its classes are others than `labels`."""
        fields = parse_canonical(data)
        if (number := fields.count("format")) != _FORMAT:
            raise ValueError(f"field 'format' is {number}; this release reads {_FORMAT}")
        thresholds = fields.mapping_to_number("thresholds")
        found = cls(
            coverage=fields.number("coverage"),
            strangeness=fields.number("strangeness"),
            thresholds=thresholds,
            grouped_by=fields.text("grouped_by"),
            groups=fields.count("groups", least=0),
            photos=fields.count("photos"),
        )
        fields.done()
        if set(found.thresholds) != set(labels):
            raise ValueError(f"field 'thresholds' has the classes {sorted(found.thresholds)}, not {sorted(labels)}")
        if not 0 < found.coverage < 1:
            raise ValueError(f"field 'coverage' is {found.coverage}; a share is between 0 and 1")
        if not 0 <= found.strangeness <= 1:
            raise ValueError(f"field 'strangeness' is {found.strangeness}; expected 0 to 1")
        for label, threshold in found.thresholds.items():
            if not 0 <= threshold <= 1:
                raise ValueError(f"the threshold of {label!r} is {threshold}; a probability is from 0 to 1")
        return found


def answer_set(
    scores: Sequence[float], strangeness: float, labels: Sequence[str], answer: str, abstention: Abstention
) -> tuple[str, ...]:
    """Returns the classes that the photo may show, most probable first; empty: neither.

    `scores` are the probabilities of `labels`, `answer` the label by the version's decision, which is part of every
    answer but the empty one. A declared class without visitors (`BACKGROUND`) that is the answer makes it empty.
    """
    if strangeness > abstention.strangeness or answer in BACKGROUND:
        return ()
    ranked = sorted(zip(scores, labels, strict=True), key=lambda pair: -pair[0])
    return tuple(label for score, label in ranked if label == answer or score >= abstention.thresholds[label])


def as_text(classes: Sequence[str]) -> str:
    """Returns an answer as text: `cat`, `cat or dog?`, or `neither`."""
    if not classes:
        return NEITHER
    return classes[0] if len(classes) == 1 else f"{' or '.join(sorted(classes))}?"
