"""A model compared with the active one, on photos that the active one was not trained on."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.channels.channel import Channel
from registry.errors import RegistryError, StoreUnavailable
from registry.intervals import Interval, wilson_interval
from registry.version import Version
from registry.versions.catalog import Catalog
from training.dataset.manifest import Photo
from training.errors import OutOfMemory
from training.evaluation.baseline.copies import Grid
from training.evaluation.baseline.seen_photos import SeenPhotos, Unknown
from training.evaluation.figures.significance import mcnemar, paired_interval
from training.networks.export import ExportedModel, Numbers, Pixels

PROD: Final = "prod"
_MODEL: Final = "model.onnx"

type Classify = Callable[[Pixels], Numbers]
"""Pixels [N, S, S, 3] to probabilities [N, classes]."""

FEWEST_PHOTOS: Final = 20
"""With fewer photos two models cannot be told apart: even a model that is clearly worse would seldom be found out."""


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """The active version, what it says of the test photos, and which of them it never learned from."""

    version: int
    probabilities: Numbers  # [test photos, classes]
    unseen: npt.NDArray[np.bool_]  # [test photos]
    copies: int = 0  # of the others, those that it was trained on in other bytes
    continued: bool = False  # whether this model went on from its weights
    classify: Classify | None = None  # answers further pixels
    tried: Pixels = field(default_factory=lambda: np.empty((0, 1, 1, 3), dtype=np.uint8))
    """Pixels of the photos that are made worse, of its size."""


@dataclass(frozen=True, kw_only=True)
class NotCompared:
    """The active version could not be asked about the test photos."""

    version: int | None  # None if even that cannot be told
    because: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both models on the photos that only one of them gets right; all others do not tell them apart.

    Photos that the other model learned from are left out of everything here. `unmeasured` says why that leaves no
    answer, and the figures are then of whatever photos are left.
    """

    version: int | None  # None if nobody can tell which is in force
    photos: int  # that were compared
    left_out: int = 0  # test photos that the other model learned from
    copies: int = 0  # of these, those that it was trained on in other bytes
    accuracy: float = 0.0  # of this model
    accuracy_interval: Interval = (0.0, 1.0)
    difference_interval: Interval = (-1.0, 1.0)  # of this model's accuracy minus the other's, photo by photo
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
    lessons: SeenPhotos,
    picture: Callable[[Photo], Grid],
    tried: npt.NDArray[np.intp],
    initial_weights: str | None = None,
) -> Incumbent | NotCompared | None:
    """Classify the test photos with the active version; `pixels(size)` decodes them at its input size.

    None without one. `initial_weights` is the hash of the file that this model began with, `tried` are places of the
    photos that will be made worse, `picture` gives a photo's small picture (`copies.grid`). A version that cannot be
    read, loaded or asked is not compared, and stops nothing. Raises StoreUnavailable, for a store that is away now will
    answer later; and what else `pixels` and `picture` raise.
    """
    number: int | None = None
    try:
        move = channel.head()
        if move is None:
            return None
        number = move.version
        version = catalog.version(number, digest=move.digest)
        if version.labels != labels:
            return NotCompared(version=version.number, because=_other_classes(version, labels))
        known = lessons.of_version(version)
        if isinstance(known, Unknown):
            return NotCompared(version=version.number, because=known.because)
        files = catalog.fetch(version, directory)
    except StoreUnavailable:
        raise
    except RegistryError as error:
        what = f"channel {channel.name}" if number is None else f"version {number} in {channel.name}"
        return NotCompared(version=number, because=f"{what} cannot be read: {error}")
    try:
        model, probabilities, shown = _ask(files.get(_MODEL), labels, pixels)
    except _Unanswered as error:
        because = f"version {version.number} in {channel.name} does not answer here: {error}"
        return NotCompared(version=version.number, because=because)
    overlaps = known.overlaps(photos, lambda place: picture(photos[place]))
    return Incumbent(
        version=version.number,
        probabilities=probabilities,
        unseen=np.array([overlap is None for overlap in overlaps]),
        copies=sum(overlap is not None and overlap.copy for overlap in overlaps),
        continued=initial_weights in {file.sha256 for file in version.files},
        classify=model.classify,
        tried=shown[tried],
    )


class _Unanswered(Exception):
    """A model gave nothing that can be compared; the message says why."""


def _ask(
    path: Path | None, labels: tuple[str, ...], pixels: Callable[[int], Pixels]
) -> tuple[ExportedModel, Numbers, Pixels]:
    """Returns the model, its probabilities of the photos, and these as it saw them; _Unanswered."""
    if path is None:
        raise _Unanswered(f"it has no {_MODEL}")
    with _answering():
        model = ExportedModel(path)
    if model.labels != labels:
        raise _Unanswered(f"its file answers {', '.join(model.labels)}")
    shown = _decode(pixels, model.size)
    with _answering():
        probabilities = model.classify(shown)
    if probabilities.shape != (len(shown), len(labels)) or not np.isfinite(probabilities).all():
        raise _Unanswered("its file gives no probabilities of its classes")
    return model, probabilities, shown


@contextmanager
def _answering() -> Generator[None]:
    """The file is what somebody published, and ONNX Runtime raises whatever it wants."""
    try:
        yield
    except Exception as error:
        message = str(error).strip().partition("\n")[0]
        raise _Unanswered(f"{type(error).__name__}: {message}" if message else type(error).__name__) from error


def _decode(pixels: Callable[[int], Pixels], size: int) -> Pixels:
    try:
        return pixels(size)
    except (OutOfMemory, MemoryError) as error:
        raise _Unanswered(f"the test photos at its {size} pixels do not fit into memory") from error


def _other_classes(version: Version, labels: tuple[str, ...]) -> str:
    only_ours, only_theirs = sorted(set(labels) - set(version.labels)), sorted(set(version.labels) - set(labels))
    sides = (f"{', '.join(names)} {where}" for names, where in ((only_ours, "here"), (only_theirs, "there")) if names)
    return f"version {version.number} in prod has other classes: only {', only '.join(sides)}"


def compare(
    incumbent: Incumbent | NotCompared,
    truth: npt.NDArray[np.int64],
    probabilities: Numbers,
) -> Comparison:
    """Count whose most probable class is right where the other's is wrong, on photos that the other never learned from.

    Not by threshold: one that trades accuracy for cheaper errors would make a better model look worse.
    """
    if isinstance(incumbent, NotCompared):
        return Comparison(version=incumbent.version, photos=0, unmeasured=incumbent.because)
    fair = incumbent.unseen
    ours = (probabilities.argmax(axis=1) == truth)[fair]
    theirs = (incumbent.probabilities.argmax(axis=1) == truth)[fair]
    photos, others = int(fair.sum()), int((~fair).sum())
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return Comparison(
        version=incumbent.version,
        photos=photos,
        left_out=others,
        copies=incumbent.copies,
        accuracy=float(ours.mean()) if photos else 0.0,
        accuracy_interval=wilson_interval(int(ours.sum()), photos),
        difference_interval=paired_interval(ours, theirs),
        only_ours=only_ours,
        only_theirs=only_theirs,
        p_value=mcnemar(only_ours, only_theirs),
        continued=incumbent.continued,
        unmeasured=_too_few(incumbent.version, photos, others) if photos < FEWEST_PHOTOS else "",
    )


def flipped(
    incumbent: Incumbent | NotCompared | None, truth: npt.NDArray[np.int64], probabilities: Numbers
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Returns the places of photos that only the other model gets right, and of those that only this one does."""
    if not isinstance(incumbent, Incumbent):
        nothing = np.empty(0, dtype=np.intp)
        return nothing, nothing
    ours, theirs = probabilities.argmax(axis=1) == truth, incumbent.probabilities.argmax(axis=1) == truth
    return np.flatnonzero(incumbent.unseen & theirs & ~ours), np.flatnonzero(incumbent.unseen & ours & ~theirs)


def left_out(comparison: Comparison) -> str:
    """Returns how many test photos the other version learned from, and how many of these in other bytes."""
    message = f"{comparison.left_out} left out, which version {comparison.version} learned from"
    return f"{message} ({comparison.copies} as copies in other bytes)" if comparison.copies else message


def _too_few(version: int, photos: int, others: int) -> str:
    left = f"{photos} test photos are left to compare on"
    if others:
        left += f", as version {version} learned from {others} of {photos + others}"
    return f"{left}; {FEWEST_PHOTOS} are needed"
