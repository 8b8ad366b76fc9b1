"""A model beside the one in force, on the same photos: those that the other one never learned from."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.catalog import Catalog
from registry.channel import Channel
from registry.version import Version
from training.dataset.manifest import Photo
from training.evaluation.lessons import Lessons, Unknown
from training.evaluation.metrics import Z95, Interval, wilson_interval
from training.evaluation.significance import mcnemar
from training.export import ExportedModel, Numbers, Pixels

PROD: Final = "prod"
_MODEL: Final = "model.onnx"


FEWEST_PHOTOS: Final = 20
"""With fewer photos two models cannot be told apart: even a model that is clearly worse would seldom be found out."""


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """The version in force, what it says of the test photos, and which of them it never learned from."""

    version: int
    probabilities: Numbers  # [test photos, classes]
    unseen: npt.NDArray[np.bool_]  # [test photos]
    continued: bool = False  # whether this model went on from its weights


@dataclass(frozen=True, kw_only=True)
class NotCompared:
    """The version in force could not be asked about the test photos."""

    version: int
    because: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both models on the photos that only one of them gets right; all others do not tell them apart.

    Photos that the other model learned from are left out of everything here. `unmeasured` says why that leaves no
    answer, and the figures are then of whatever photos are left.
    """

    version: int
    photos: int  # that were compared
    left_out: int = 0  # test photos that the other model learned from
    accuracy: float = 0.0  # of this model
    accuracy_interval: Interval = (0.0, 1.0)
    accuracy_theirs: float = 0.0
    accuracy_theirs_interval: Interval = (0.0, 1.0)
    difference_interval: Interval = (-1.0, 1.0)  # of this model's accuracy minus the other's, photo by photo
    recalls: Mapping[str, tuple[float, float, int]] = field(default_factory=dict[str, tuple[float, float, int]])
    """Class -> share found by this one and by the other, and photos."""
    only_ours: int = 0
    only_theirs: int = 0
    p_value: float = 1.0  # of McNemar's exact test that both are equally good
    continued: bool = False
    unmeasured: str = ""


def find_incumbent(
    catalog: Catalog,
    channel: Channel,
    directory: Path,
    *,
    labels: tuple[str, ...],
    photos: Sequence[Photo],
    pixels: Callable[[int], Pixels],
    lessons: Lessons,
    initial_weights: str | None = None,
) -> Incumbent | NotCompared | None:
    """Let the version in force answer the test photos; `pixels(size)` decodes them as it sees them.

    None without one. `initial_weights` is the hash of the file that this model began with. Raises registry errors.
    """
    move = channel.head()
    if move is None:
        return None
    version = catalog.version(move.version, digest=move.digest)
    if version.labels != labels:
        return NotCompared(version=version.number, because=_other_classes(version, labels))
    known = lessons.of_version(version)
    if isinstance(known, Unknown):
        return NotCompared(version=version.number, because=known.because)
    model = ExportedModel(catalog.fetch(version, directory)[_MODEL])
    return Incumbent(
        version=version.number,
        probabilities=model.classify(pixels(model.size)),
        unseen=np.array([photo.sha256 not in known for photo in photos]),
        continued=initial_weights in {file.sha256 for file in version.files},
    )


def _other_classes(version: Version, labels: tuple[str, ...]) -> str:
    only_ours, only_theirs = sorted(set(labels) - set(version.labels)), sorted(set(version.labels) - set(labels))
    sides = (f"{', '.join(names)} {where}" for names, where in ((only_ours, "here"), (only_theirs, "there")) if names)
    return f"version {version.number} in prod has other classes: only {', only '.join(sides)}"


def compare(
    incumbent: Incumbent | NotCompared,
    truth: npt.NDArray[np.int64],
    probabilities: Numbers,
    labels: Sequence[str] = (),
) -> Comparison:
    """Count whose likeliest class is right where the other's is wrong, on photos that the other never learned from.

    Not by threshold: one that trades accuracy for cheaper errors would make a better model look worse.
    """
    if isinstance(incumbent, NotCompared):
        return Comparison(version=incumbent.version, photos=0, unmeasured=incumbent.because)
    fair = incumbent.unseen
    ours = (probabilities.argmax(axis=1) == truth)[fair]
    theirs = (incumbent.probabilities.argmax(axis=1) == truth)[fair]
    photos, left_out = int(fair.sum()), int((~fair).sum())
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return Comparison(
        version=incumbent.version,
        photos=photos,
        left_out=left_out,
        accuracy=float(ours.mean()) if photos else 0.0,
        accuracy_interval=wilson_interval(int(ours.sum()), photos),
        accuracy_theirs=float(theirs.mean()) if photos else 0.0,
        accuracy_theirs_interval=wilson_interval(int(theirs.sum()), photos),
        difference_interval=_paired(ours, theirs),
        recalls=_recalls(labels, truth[fair], ours, theirs),
        only_ours=only_ours,
        only_theirs=only_theirs,
        p_value=mcnemar(only_ours, only_theirs),
        continued=incumbent.continued,
        unmeasured=_too_few(incumbent.version, photos, left_out) if photos < FEWEST_PHOTOS else "",
    )


def _paired(ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_]) -> Interval:
    """Give the 95 % interval of the difference of two shares on the same photos (Wald's, with half a photo added to
    each kind of disagreement: Agresti & Min, Statistics in Medicine 2005).
    """
    photos = len(ours)
    if not photos:
        return (-1.0, 1.0)
    first, second, count = (ours & ~theirs).sum() + 0.5, (theirs & ~ours).sum() + 0.5, photos + 2
    difference = (first - second) / count
    half = Z95 * math.sqrt(max(0.0, (first + second) / count - difference**2) / count)
    return float(max(-1.0, difference - half)), float(min(1.0, difference + half))


def _recalls(
    labels: Sequence[str], truth: npt.NDArray[np.int64], ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_]
) -> dict[str, tuple[float, float, int]]:
    inside = {label: truth == place for place, label in enumerate(labels)}
    return {
        label: (float(ours[those].mean()), float(theirs[those].mean()), int(those.sum()))
        for label, those in inside.items()
        if those.any()
    }


def flipped(
    incumbent: Incumbent | NotCompared | None, truth: npt.NDArray[np.int64], probabilities: Numbers
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Give the places of photos that only the other model gets right, and of those that only this one does."""
    if not isinstance(incumbent, Incumbent):
        nothing = np.empty(0, dtype=np.intp)
        return nothing, nothing
    ours, theirs = probabilities.argmax(axis=1) == truth, incumbent.probabilities.argmax(axis=1) == truth
    return np.flatnonzero(incumbent.unseen & theirs & ~ours), np.flatnonzero(incumbent.unseen & ours & ~theirs)


def _too_few(version: int, photos: int, left_out: int) -> str:
    left = f"{photos} test photos are left to compare on"
    if left_out:
        left += f", as version {version} learned from {left_out} of {photos + left_out}"
    return f"{left}; {FEWEST_PHOTOS} are needed"
