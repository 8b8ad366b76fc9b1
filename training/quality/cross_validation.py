"""Small networks on a dataset: probabilities of photos that they never saw, and embeddings to compare photos.

The product's own training, bounded: each fold's network is shown every photo a few times, but 24,000 in all at most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from registry.store.memory_store import MemoryStore
from training.dataset.manifest import Photo
from training.fitting.batches import derive
from training.fitting.checkpoint import Checkpoints
from training.fitting.pixels import LabelledPixels
from training.fitting.train import train
from training.hyper_parameters import HyperParameters
from training.networks.model import Classifier, to_photos
from training.quality.folds import folds_of

type Numbers = npt.NDArray[np.float32]

FOLDS: Final = 3
SIZE: Final = 48
"""Side of the photos as the networks see them, in pixels."""

_EPOCHS: Final = 6
_LEAST_SHOWN: Final = 6_000
_MOST_SHOWN: Final = 24_000
_BATCH: Final = 32
_AT_ONCE: Final = 256


@dataclass(frozen=True, kw_only=True)
class Learned:
    """One row a photo, in their order."""

    probabilities: Numbers  # [N, classes], by the network of whose fold the photo is
    embeddings: Numbers  # [N, d], unit length: by all networks, one of which never saw the photo


def learn(
    data: LabelledPixels,
    *,
    classes: int,
    seed: int,
    shown: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Learned:
    """Train a network for each fold on the other folds, and apply it to its own; TrainingError.

    `shown` is how many photos a network is shown, repetitions counted, instead of the usual number.
    """
    folds = folds_of(data.photos, FOLDS)
    probabilities = np.zeros((len(data), classes), dtype=np.float32)
    embeddings: list[Numbers] = []
    for fold in range(FOLDS):
        model = _train(data, np.flatnonzero(folds != fold), classes=classes, seed=seed + fold, shown=shown)
        answers, places = _ask(model, data)
        probabilities[folds == fold] = answers[folds == fold]
        embeddings.append(places)
        progress(fold + 1, FOLDS)
    return Learned(probabilities=probabilities, embeddings=unit(np.concatenate(embeddings, axis=1)))


def unit(vectors: Numbers) -> Numbers:
    """Scale to length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)


def _train(
    data: LabelledPixels, places: npt.NDArray[np.intp], *, classes: int, seed: int, shown: int | None
) -> Classifier:
    shown = shown or min(_MOST_SHOWN, max(_LEAST_SHOWN, _EPOCHS * len(places)))
    chosen = np.sort(np.random.default_rng(derive(seed, "shown")).permutation(places)[:shown])
    some = _part(data, chosen)
    parameters = HyperParameters(image_size=SIZE, batch_size=_BATCH, epochs=max(1, round(shown / len(chosen))))
    return train(
        some,
        _part(data, chosen[:_BATCH]),  # nothing is decided by them
        classes=classes,
        parameters=parameters,
        seed=seed,
        initial_weights=None,
        checkpoints=Checkpoints(MemoryStore(), "quality"),
        on_epoch=lambda _: None,
        should_stop=lambda: False,
    )


def _part(data: LabelledPixels, places: Sequence[int] | npt.NDArray[np.intp]) -> LabelledPixels:
    photos: tuple[Photo, ...] = tuple(data.photos[place] for place in places)
    chosen = torch.as_tensor(places)
    return LabelledPixels(photos=photos, pixels=data.pixels[chosen], targets=data.targets[chosen])


@torch.inference_mode()
def _ask(model: Classifier, data: LabelledPixels) -> tuple[Numbers, Numbers]:
    answers: list[Numbers] = []
    embeddings: list[Numbers] = []
    for pixels in data.pixels.split(_AT_ONCE):
        logits, embedding, _ = model.explain(to_photos(pixels))
        answers.append(logits.softmax(dim=1).numpy())
        embeddings.append(unit(embedding.numpy()))
    return np.concatenate(answers), np.concatenate(embeddings)
