"""Selects the reference photos to compare a window with: day with day, night with night.

A window of one hour is by day or by night, and the reference has both. Without matching, every night would drift from
the mixture, although the version was tested on night photos. Cameras switch to infra-red at night, so that their
photos have no colour.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

INFRA_RED: Final = 0.02
"""Chroma below which a photo has no colour (`imaging.InputStatistics`)."""

FEWEST_OF_A_KIND: Final = 50
"""Minimum numbers of reference photos with colour, and without, for matching."""

type Numbers = npt.NDArray[Any]


def matched(reference: Numbers, window: Numbers, rng: np.random.Generator) -> Numbers:
    """Returns indices of the reference, by chroma, with the window's share of infra-red photos; ascending.

    As many as possible. All indices, if the reference has too few photos of a kind, or fewer than 50 would be left:
    infra-red photos are new then, and the tests detect that.
    """
    every = np.arange(len(reference))
    kinds = [np.flatnonzero(reference < INFRA_RED), np.flatnonzero(reference >= INFRA_RED)]
    if min(map(len, kinds)) < FEWEST_OF_A_KIND or not len(window):
        return every
    dark = float((window < INFRA_RED).mean())
    shares = (dark, 1 - dark)
    total = min(len(kind) / share for kind, share in zip(kinds, shares, strict=True) if share > 0)
    if total < FEWEST_OF_A_KIND:
        return every
    chosen = [rng.permutation(kind)[: round(total * share)] for kind, share in zip(kinds, shares, strict=True)]
    return np.sort(np.concatenate(chosen))
