"""Accuracy: labels that photos probably do not deserve, by confident learning. Pure.

A label is in doubt when a network that never saw the photo is as sure of another class as it usually is of photos that
carry it (Northcutt, Jiang & Chuang, J. of Artificial Intelligence Research 70, 2021).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.dataset.manifest import Photo
from training.quality.findings import Characteristic, Concern, Name, Table, finding, share

SURE: Final = 0.8
"""Probability of another class from which on a label counts as contradicted: `docs/design/data.md` has the evidence."""

type Numbers = npt.NDArray[np.float32]
type Integers = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class LabelDoubts:
    """What confident learning makes of labels."""

    joint: Integers  # [K, K]: photos that are labelled so and confidently seen as that
    doubtful: Integers  # places of photos off the joint's diagonal, the clearest first
    seen_as: Integers  # [N] the class that each photo is confidently seen as; its label where it is none


def doubt(targets: Integers, probabilities: Numbers) -> LabelDoubts:
    """Find doubtful labels: `targets` [N] as given, `probabilities` [N, K] out of fold; every class has photos."""
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(targets)), targets]
    usual = np.array([own[targets == place].mean() for place in range(classes)], dtype=np.float32)
    confident = np.where(probabilities >= usual, probabilities, -1)
    seen_as = np.where((confident >= 0).any(axis=1), confident.argmax(axis=1), targets)
    joint = np.zeros((classes, classes), dtype=np.intp)
    counted = (confident >= 0).any(axis=1)
    np.add.at(joint, (targets[counted], seen_as[counted]), 1)
    # Sure of another class in comparison with others of it, and yet not surer than of the label: no doubt.
    margin = probabilities.max(axis=1) - own
    places = np.flatnonzero((seen_as != targets) & (margin > 0))
    return LabelDoubts(joint=joint, doubtful=places[np.argsort(-margin[places], kind="stable")], seen_as=seen_as)


def accuracy(photos: Sequence[Photo], labels: Sequence[str], probabilities: Numbers | None) -> Characteristic:
    """Returns whose labels are in doubt; nothing is known without `probabilities`."""
    if probabilities is None:
        return Characteristic(name=Name.ACCURACY, summary="Labels were not checked.")
    targets = np.array([labels.index(photo.label) for photo in photos], dtype=np.intp)
    found = doubt(targets, probabilities)
    right = float((probabilities.argmax(axis=1) == targets).mean())
    sure = probabilities[np.arange(len(photos)), found.seen_as]
    contradicted = int((sure[found.doubtful] >= SURE).sum())
    concerns: list[Concern] = []
    for place in map(int, found.doubtful):
        photo, other = photos[place], labels[int(found.seen_as[place])]
        why = f"seen as “{other}” with {sure[place]:.0%}"
        concerns.append(Concern(key=photo.key, sha256=photo.sha256, label=photo.label, why=why, becomes=other))
    return Characteristic(
        name=Name.ACCURACY,
        summary=f"{contradicted:,} of {len(photos):,} labels are contradicted ({SURE:.0%} sure of another class), "
        f"{len(concerns) - contradicted:,} more in doubt. The networks, which had not seen the photos, agree with "
        f"{right:.1%} of all labels.",
        measures={"label_noise": share(contradicted, len(photos))},
        findings=finding(
            "label_noise",
            "Doubtful labels",
            "The clearest first. Relabel what is wrong, and exclude what shows no class or several. The lower the "
            "networks' agreement with all labels, the more of these are right, and only hard to see.",
            concerns,
        ),
        tables=(_confusion(labels, found.joint),),
    )


def _confusion(labels: Sequence[str], joint: Integers) -> Table:
    return Table(
        caption="Labelled (rows) and confidently seen as (columns)",
        columns=("label", *labels),
        rows=tuple((label, *map(int, row)) for label, row in zip(labels, joint, strict=True)),
    )
