"""A model beside the one in force, on the same photos."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.catalog import Catalog
from registry.channel import Channel
from training.evaluation.significance import mcnemar
from training.export import ExportedModel, Numbers, Pixels

PROD: Final = "prod"
_MODEL: Final = "model.onnx"


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """The version in force, and what it says of the test photos."""

    version: int
    probabilities: Numbers


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both models on the photos that only one of them gets right; all others do not tell them apart."""

    version: int
    photos: int
    accuracy: float  # of this model
    accuracy_theirs: float
    only_ours: int
    only_theirs: int
    p_value: float  # of McNemar's exact test that both are equally good


def find_incumbent(
    catalog: Catalog, channel: Channel, directory: Path, *, labels: tuple[str, ...], pixels: Callable[[int], Pixels]
) -> Incumbent | None:
    """Let the version in force answer the test photos; `pixels(size)` decodes them as it sees them.

    None without one, and for one of other classes: it answers another question. Raises registry errors.
    """
    move = channel.head()
    if move is None:
        return None
    version = catalog.version(move.version, digest=move.digest)
    if version.labels != labels:
        return None
    model = ExportedModel(catalog.fetch(version, directory)[_MODEL])
    return Incumbent(version=version.number, probabilities=model.classify(pixels(model.size)))


def compare(incumbent: Incumbent, truth: npt.NDArray[np.int64], probabilities: Numbers) -> Comparison:
    """Count whose likeliest class is right where the other's is wrong.

    Not by threshold: one that trades accuracy for cheaper errors would make a better model look worse.
    """
    ours, theirs = probabilities.argmax(axis=1) == truth, incumbent.probabilities.argmax(axis=1) == truth
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return Comparison(
        version=incumbent.version,
        photos=len(truth),
        accuracy=float(ours.mean()),
        accuracy_theirs=float(theirs.mean()),
        only_ours=only_ours,
        only_theirs=only_theirs,
        p_value=mcnemar(only_ours, only_theirs),
    )
