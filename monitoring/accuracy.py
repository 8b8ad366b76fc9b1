"""How accurate are answers whose truth nobody knows? ATC, average thresholded confidence (Garg et al., ICLR 2022).

The threshold is a confidence: on photos with known classes as many are below it as are answered wrongly. The estimate
is the share of other photos that reach it. Accuracy is that of the most probable class.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.intervals import Z95
from registry.versions.reference import Reference

STRANGER_THAN: Final = 0.99
"""Share of the reference, corrupted photos included, that is less strange than a photo unlike anything known."""

MOST_STRANGE: Final = 0.2
"""Share of a window's photos that may be unlike anything known; beyond it nothing is estimated."""

_FEWEST: Final = 30  # photos of a window, and of the reference

type Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The accuracy of a window."""

    accuracy: float | None  # None: unknown
    low: float  # of a 95 % interval; 0 and 1 where it is unknown
    high: float
    unlike: float  # share of photos that are unlike anything known
    because: str = ""  # why it is unknown

    @property
    def sentence(self) -> str:
        """For people."""
        if self.accuracy is None:
            return f"accuracy unknown: {self.because}"
        return f"accuracy about {self.accuracy:.1%} ({self.low:.1%} to {self.high:.1%}), without labels"


@dataclass(frozen=True, kw_only=True)
class Known:
    """Photos whose class is known, as a threshold is learned from them."""

    confidence: Numbers  # [N]
    right: Numbers  # bool [N]
    kind: Numbers  # int [N]: -1 as they are, else the kind of corruption

    @classmethod
    def of(cls, reference: Reference) -> "Known":
        """Take validation photos and their corrupted copies."""
        every = np.concatenate([reference.probabilities, reference.worse_probabilities])
        truth = np.concatenate([reference.truth, reference.worse_truth])
        kind = np.concatenate([np.full(len(reference), -1), reference.worse_kind.astype(np.int64)])
        return cls(confidence=every.max(axis=1), right=every.argmax(axis=1) == truth, kind=kind)

    def without(self, kind: int) -> "Known":
        """Leave out one kind."""
        kept = self.kind != kind
        return Known(confidence=self.confidence[kept], right=self.right[kept], kind=self.kind[kept])


def learn_threshold(confidence: Numbers, right: Numbers) -> float:
    """Returns the confidence below which as many photos are as are wrong (ties: no more than that)."""
    wrong = len(right) - int(np.count_nonzero(right))
    return float(np.sort(confidence)[wrong]) if wrong < len(right) else math.inf


def estimate_accuracy(reference: Reference, probabilities: Numbers, strangeness: Numbers | None = None) -> Estimate:
    """Estimate the accuracy of probabilities [N, K]; `strangeness` [N] of the same photos says if they are like any."""
    unlike = 0.0
    if strangeness is not None and len(strangeness):
        usual = np.concatenate([reference.strangeness, reference.worse_strangeness])
        unlike = float((strangeness > np.quantile(usual, STRANGER_THAN)).mean())
    if because := _unknown(reference, len(probabilities), unlike):
        return Estimate(accuracy=None, low=0.0, high=1.0, unlike=unlike, because=because)
    known = Known.of(reference)
    threshold = learn_threshold(known.confidence, known.right)
    share = float((probabilities.max(axis=1) >= threshold).mean())
    # One added to both kinds of answers: without it a share of 1 would have no error (Agresti & Coull, 1998)
    count = len(probabilities) + 2
    smoothed = (share * len(probabilities) + 1) / count
    error = smoothed * (1 - smoothed) / count + _threshold_error(known, threshold) + _transfer_error(known)
    half = Z95 * math.sqrt(error)
    return Estimate(accuracy=share, low=max(0.0, share - half), high=min(1.0, share + half), unlike=unlike)


def _unknown(reference: Reference, photos: int, unlike: float) -> str:
    if photos < _FEWEST:
        return f"{photos} photos are too few"
    if len(reference) < _FEWEST:
        return f"the reference has {len(reference)} photos, too few"
    if not len(reference.worse_truth):  # `monitoring.drift.as_reference`
        return "the reference has no corrupted photos, as one of photos whose classes nobody knows"
    if unlike > MOST_STRANGE:
        return f"{unlike:.0%} of the photos are unlike any that the version was tested on"
    return ""


def _threshold_error(known: Known, threshold: float) -> float:
    """Squared standard error of the estimate by the sampling of the photos that the threshold comes from."""
    difference = (known.confidence < threshold).astype(np.float64) - ~known.right
    return float(difference.var()) / len(difference)


def _transfer_error(known: Known) -> float:
    """Mean squared error on a kind of corruption by a threshold that did not see it, less what sampling makes of it."""
    errors: list[float] = []
    for kind in np.unique(known.kind[known.kind >= 0]).tolist():
        rest, own = known.without(kind), known.kind == kind
        threshold = learn_threshold(rest.confidence, rest.right)
        difference = (known.confidence[own] >= threshold).astype(np.float64) - known.right[own]
        errors.append(float(difference.mean()) ** 2 - float(difference.var()) / len(difference))
    return max(0.0, float(np.mean(errors))) if errors else 0.0
