"""The reference that a version carries for monitoring: what it sees of validation photos, as they are and corrupted."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imaging import INPUT_STATISTICS, input_statistics
from registry.versions.reference import MOST_PHOTOS, Reference
from training.dataset.manifest import Photo
from training.evaluation.figures.corruptions import CORRUPTIONS, SEVERITIES
from training.evaluation.figures.robustness import stratified
from training.fitting.pixels import LabelledPixels
from training.networks.export import ExportedModel, Numbers, Pixels
from training.networks.strangeness import Subspace

_KINDS: Final = tuple(CORRUPTIONS)
_CHUNK: Final = 64
_HALF: Final = np.finfo(np.float16)


def describe_validation(
    exported: ExportedModel, validate: LabelledPixels, subspace: Subspace, *, seed: int
) -> Reference | None:
    """Answer validation photos, and a copy of each with one of the corruptions, by turns; None without photos.

    The copies show errors where validation photos show too few to learn a threshold from: docs/design/drift.md.
    """
    if not len(validate):
        return None
    places = stratified(validate.targets.numpy(), MOST_PHOTOS)
    turns = np.random.default_rng(seed).permutation(len(places))
    kinds = (turns % len(_KINDS)).astype(np.uint8)
    levels = turns // len(_KINDS) % len(SEVERITIES)
    parts: list[tuple[Numbers, ...]] = []
    for begin in range(0, len(places), _CHUNK):  # copies of all pixels at once may not fit memory
        some = slice(begin, begin + _CHUNK)
        pixels = validate.pixels.numpy()[places[some]]
        statistics = _statistics(pixels, [validate.photos[place] for place in places[some]])
        clean = exported.explain(pixels)
        worse = exported.explain(_corrupted(pixels, kinds[some], levels[some], seed + begin))
        strangeness = subspace.strangeness(worse.embedding)
        parts.append((clean.probabilities, clean.embedding, statistics, worse.probabilities, strangeness))
    probabilities, embedding, statistics, worse_probabilities, worse_strangeness = (
        np.concatenate(column).astype(np.float32) for column in zip(*parts, strict=True)
    )
    truth = validate.targets.numpy()[places].astype(np.uint16)
    return Reference(
        labels=exported.labels,
        statistic_names=INPUT_STATISTICS,
        kinds=_KINDS,
        probabilities=probabilities,
        truth=truth,
        embedding=embedding.clip(_HALF.min, _HALF.max).astype(np.float16),
        statistics=statistics,
        strangeness=subspace.strangeness(embedding),
        mean=subspace.mean,
        components=subspace.components,
        worse_probabilities=worse_probabilities,
        worse_truth=truth,
        worse_strangeness=worse_strangeness,
        worse_kind=kinds,
    )


def _corrupted(pixels: Pixels, kinds: npt.NDArray[Any], levels: npt.NDArray[Any], seed: int) -> Pixels:
    copies = [
        CORRUPTIONS[_KINDS[kind]](each, SEVERITIES[level], seed + number)
        for number, (each, kind, level) in enumerate(zip(pixels, kinds, levels, strict=True))
    ]
    return np.stack(copies)


def _statistics(pixels: Pixels, photos: list[Photo]) -> Numbers:
    rows = [
        input_statistics(each, width=photo.width, height=photo.height).as_row()
        for each, photo in zip(pixels, photos, strict=True)
    ]
    return np.array(rows, dtype=np.float32)
