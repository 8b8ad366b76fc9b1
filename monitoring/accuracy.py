"""Estimates the accuracy of predictions without labels from their confidences, with an interval.

Two estimators, by how much the photos resemble the reference's corrupted copies (by strangeness, in `Known.accuracy`):

- Photos like the validation photos: ATC, average thresholded confidence (Garg et al., ICLR 2022). On photos with known
  classes, as many are below the threshold as are wrong; the estimate is the share of other photos that reach it.
- Photos like the corrupted copies: DoC, difference of confidences (Guillory et al., ICCV 2021), against known photos
  that are weighted to be as strange as these (covariate shift: Shimodaira, 2000).

Accuracy is that of the most probable class.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.intervals import Z95
from registry.versions.reference import Reference

STRANGER_THAN: Final = 0.99
"""Quantile of the reference's strangeness, corrupted photos included; a photo above it is unlike known photos."""

MOST_STRANGE: Final = 0.2
"""Maximum share of a window's photos unlike known photos; beyond it the accuracy is unknown."""

_FEWEST: Final = 30  # photos of a window, and of the reference
_BINS: Final = 8
_TINY: Final = 1e-9
_LIKE_COPIES: Final = (0.4, 0.8)
"""Weight of the corrupted copies among the known photos: below the first, only ATC is used; above the second, only
DoC. Chosen on real photos, docs/design/drift.md."""
_STUDENT: Final = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Two-sided 95 % quantiles of Student's t distribution with 1, 2, … degrees of freedom."""

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The accuracy of a window."""

    accuracy: float | None  # None: unknown
    low: float  # of a 95 % interval; 0 and 1 if it is unknown
    high: float
    unlike: float  # share of photos unlike known photos
    because: str = ""  # why it is unknown

    @property
    def sentence(self) -> str:
        """For people."""
        if self.accuracy is None:
            return f"accuracy unknown: {self.because}"
        return f"accuracy about {self.accuracy:.1%} ({self.low:.1%} to {self.high:.1%}), without labels"


@dataclass(frozen=True, kw_only=True)
class Known:
    """Photos whose class is known; estimates are fitted on them."""

    confidence: Numbers  # [N]
    right: Numbers  # bool [N]
    strangeness: Numbers  # [N]
    kind: Numbers  # int [N]: -1 if not corrupted, else the kind of corruption

    @classmethod
    def of(cls, reference: Reference) -> "Known":
        """Returns the validation photos and their corrupted copies of a reference."""
        every = np.concatenate([reference.probabilities, reference.worse_probabilities])
        truth = np.concatenate([reference.truth, reference.worse_truth])
        kind = np.concatenate([np.full(len(reference), -1), reference.worse_kind.astype(np.int64)])
        return cls(
            confidence=every.max(axis=1),
            right=every.argmax(axis=1) == truth,
            strangeness=np.concatenate([reference.strangeness, reference.worse_strangeness]),
            kind=kind,
        )

    def take(self, kept: Numbers) -> "Known":
        """Returns the photos that a mask selects."""
        return Known(
            confidence=self.confidence[kept],
            right=self.right[kept],
            strangeness=self.strangeness[kept],
            kind=self.kind[kept],
        )

    def accuracy(self, confidence: Numbers, strangeness: Numbers | None) -> float:
        """Returns the estimated accuracy on photos with this confidence and strangeness (None: by ATC only)."""
        threshold = learn_threshold(self.confidence, self.right)
        reached = float((confidence >= threshold).mean())
        if strangeness is None or not (self.kind >= 0).any():
            return reached
        weights = self._weights(strangeness)
        if not weights.any():  # no known photo is as strange
            return reached
        share = float(weights[self.kind >= 0].sum() / weights.sum())
        blend = min(1.0, max(0.0, (share - _LIKE_COPIES[0]) / (_LIKE_COPIES[1] - _LIKE_COPIES[0])))
        overstated = float((weights * (self.confidence - self.right)).sum() / weights.sum())
        differing = min(1.0, max(0.0, float(confidence.mean()) - overstated))
        return (1 - blend) * reached + blend * differing

    def _weights(self, strangeness: Numbers) -> Numbers:
        """Returns a weight for each photo, so that the weighted photos are as strange as those of `strangeness`."""
        edges = np.quantile(self.strangeness, np.linspace(0, 1, _BINS + 1)[1:-1])
        own, others = (np.searchsorted(edges, each) for each in (self.strangeness, strangeness))
        counts = [np.bincount(each, minlength=_BINS) / len(each) for each in (own, others)]
        return (counts[1] / np.maximum(counts[0], _TINY))[own]


def learn_threshold(confidence: Numbers, right: Numbers) -> float:
    """Returns the confidence below which there are as many photos as wrong ones (with ties: no more than that)."""
    wrong = len(right) - int(np.count_nonzero(right))
    return float(np.sort(confidence)[wrong]) if wrong < len(right) else math.inf


def estimate_accuracy(reference: Reference, probabilities: Numbers, strangeness: Numbers | None = None) -> Estimate:
    """Returns the estimated accuracy of probabilities [N, K], with the `strangeness` [N] of the same photos."""
    unlike = 0.0
    if strangeness is not None and len(strangeness):
        usual = np.concatenate([reference.strangeness, reference.worse_strangeness])
        unlike = float((strangeness > np.quantile(usual, STRANGER_THAN)).mean())
    if because := _unknown(reference, len(probabilities), unlike):
        return Estimate(accuracy=None, low=0.0, high=1.0, unlike=unlike, because=because)
    known = Known.of(reference)
    confidence = probabilities.max(axis=1)
    accuracy = known.accuracy(confidence, strangeness)
    # One right and one wrong prediction added: otherwise a share of 1 would have no error (Agresti & Coull, 1998)
    count = len(probabilities) + 2
    smoothed = (accuracy * len(probabilities) + 1) / count
    threshold = learn_threshold(known.confidence, known.right)
    sampling = Z95**2 * (smoothed * (1 - smoothed) / count + _threshold_error(known, threshold))
    half = math.sqrt(sampling + _transfer_error(known))
    return Estimate(accuracy=accuracy, low=max(0.0, accuracy - half), high=min(1.0, accuracy + half), unlike=unlike)


def _unknown(reference: Reference, photos: int, unlike: float) -> str:
    if photos < _FEWEST:
        return f"{photos} photos are too few"
    if len(reference) < _FEWEST:
        return f"the reference has {len(reference)} photos, too few"
    if not len(reference.worse_truth):  # `monitoring.drift.as_reference`
        return "the reference has no corrupted photos, because the classes of its photos are unknown"
    if unlike > MOST_STRANGE:
        return f"{unlike:.0%} of the photos are unlike any that the version was tested on"
    return ""


def _threshold_error(known: Known, threshold: float) -> float:
    """Squared standard error of the estimate by the sampling of the photos that determine the threshold."""
    difference = (known.confidence < threshold).astype(np.float64) - ~known.right
    return float(difference.var()) / len(difference)


def _transfer_error(known: Known) -> float:
    """Returns the square of the half width that the error on a kind of corruption never seen adds to the interval.

    The error on each kind is measured with an estimate without it. The error on another kind has the same distribution;
    with few kinds, its spread is itself uncertain, so the quantile is Student's, with one degree of freedom less than
    there are kinds: their errors are against each other's mean. What sampling makes of these errors is included:
    without it, intervals were too narrow (`tests/monitoring/test_accuracy.py`).
    """
    errors: list[float] = []
    for kind in np.unique(known.kind[known.kind >= 0]).tolist():
        own = known.kind == kind
        rest, left_out = known.take(~own), known.take(own)
        errors.append(rest.accuracy(left_out.confidence, left_out.strangeness) - float(left_out.right.mean()))
    if not errors:
        return 0.0
    degrees = max(1, len(errors) - 1)
    quantile = _STUDENT[degrees - 1] if degrees <= len(_STUDENT) else Z95 + 2.4 / degrees
    return quantile**2 * float(np.mean(np.square(errors)))
