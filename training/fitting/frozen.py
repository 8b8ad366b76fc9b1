"""Learn the linear layer alone, on embeddings of a network that stays as it is. Reads top to bottom.

Photos are fetched, decoded and embedded in chunks, in their order; no pixels are kept. Embeddings are all that a
checkpoint needs, for the layer is a function of them. So a run that was interrupted anywhere, any number of times, ends
with the same weights as one that was not, bit for bit, on the same kind of machine.
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from training.dataset.manifest import Photo
from training.errors import Interrupted
from training.fitting.augment import augment, draw
from training.fitting.batches import derive, generator
from training.fitting.checkpoint import Checkpoints
from training.fitting.pixels import LabelledPixels
from training.fitting.progress import Progress
from training.hyper_parameters import HyperParameters
from training.instance.machine import Usage
from training.job import EpochRecord, ProgressRecord
from training.networks.embedding import BATCH, Embedder
from training.networks.head import Fit, Head, choose_head
from training.networks.model import Classifier, build_model, load_initial_weights, to_photos

_WORTH_A_CHECKPOINT: Final = 30.0  # seconds of work

type Chunks = Callable[[int], Iterator[Tensor]]
"""Yields the pixels of the photos from a place on, in chunks of BATCH; Interrupted when the machine goes."""


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """What the frozen network sees of photos."""

    photos: tuple[Photo, ...]
    embedding: Tensor  # float16 [N, D]
    targets: Tensor  # int64 [N]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A trained network; where its convolutions were frozen, also what its linear layer was learned from."""

    model: Classifier
    embeddings: Embeddings | None = None  # of training photos, then of validation photos
    penalty: float = 0.0


def train_head(
    photos: tuple[Photo, ...],
    targets: Tensor,
    chunks: Chunks,
    *,
    validate: LabelledPixels,
    classes: int,
    parameters: HyperParameters,
    seed: int,
    initial_weights: Mapping[str, Tensor],
    checkpoints: Checkpoints,
    on_progress: Callable[[ProgressRecord], None],
    on_epoch: Callable[[EpochRecord], None],
    should_stop: Callable[[], bool],
    device: torch.device,
) -> Learned:
    """Embed the `chunks` of `photos`, and learn from them; validation photos choose the layer's penalty.

    When `chunks` raises Interrupted, a checkpoint is written and Interrupted raised; `should_stop` is called later.
    """
    began, usage = time.monotonic(), Usage()
    torch.manual_seed(derive(seed, "weights"))
    model = build_model(parameters.architecture, classes, flips=bool(parameters.flips)).eval()
    load_initial_weights(model, initial_weights)
    embedder = Embedder(model, parameters.image_size, device)
    try:
        embedded = _embed(
            embedder,
            len(photos),
            chunks,
            parameters=parameters,
            seed=seed,
            checkpoints=checkpoints,
            on_progress=on_progress,
        )
    finally:
        checkpoints.settle()
    known = torch.cat([embedder.embed(part) for part in validate.pixels.split(BATCH)])
    fit = choose_head(
        embedded.flatten(0, 1).float(),
        targets.repeat_interleave(embedded.shape[1]),
        known.float(),
        validate.targets,
        classes,
        balance=parameters.class_balance,
        should_stop=should_stop,
    )
    on_epoch(_record(fit, seconds=time.monotonic() - began, usage=usage))
    embeddings = Embeddings(
        photos=(*photos, *validate.photos),
        embedding=torch.cat([embedded[:, 0], known]),
        targets=torch.cat([targets, validate.targets]),
    )
    return Learned(model=_with_head(model, fit.head), embeddings=embeddings, penalty=fit.head.penalty)


def _record(fit: Fit, *, seconds: float, usage: Usage) -> EpochRecord:
    """Returns the one epoch that learning the layer counts as."""
    return EpochRecord(
        epoch=1,
        of=1,
        train_loss=round(fit.train_loss, 5),
        loss=round(fit.loss, 5),
        accuracy=round(fit.accuracy, 5),
        learning_rate=0.0,
        seconds=round(seconds, 2),
        usage=usage.so_far(),
    )


def _with_head(model: Classifier, head: Head) -> Classifier:
    """Returns a copy of the network on the CPU, with this linear layer."""
    learned = copy.deepcopy(model).to("cpu")
    with torch.no_grad():
        learned.head.weight.copy_(head.weight)
        learned.head.bias.copy_(head.bias)
    return learned.eval()


def _embed(
    embedder: Embedder,
    count: int,
    chunks: Chunks,
    *,
    parameters: HyperParameters,
    seed: int,
    checkpoints: Checkpoints,
    on_progress: Callable[[ProgressRecord], None],
) -> Tensor:
    """Returns embeddings [N, views, D], from the last checkpoint on."""
    state = checkpoints.last()
    parts: list[Tensor] = [] if state is None else [state["embedded"]]
    done = saved = first = sum(map(len, parts))
    since = time.monotonic()
    progress = Progress("photos embedded", count, on_progress, done=done)

    def keep() -> None:
        nonlocal saved, since
        parts[:] = [torch.cat(parts)]
        checkpoints.save(done, {"embedded": parts[0]})
        saved, since = done, time.monotonic()

    try:
        for pixels in chunks(done) if done < count else ():
            views = list(_views(pixels, parameters, seed, done))
            parts.append(torch.stack([embedder.embed(view) for view in views], dim=1))
            done += len(pixels)
            if progress.add(len(pixels)) and time.monotonic() - since > _WORTH_A_CHECKPOINT:
                keep()
    except Interrupted as error:
        if done > saved:
            keep()
        stored = checkpoints.settle() >= done
        raise Interrupted(
            f"interrupted after {done} of {count} photos were embedded; "
            + ("a checkpoint was written" if stored or done == saved == first else "the checkpoint could not be stored")
        ) from error
    return torch.cat(parts)


def _views(pixels: Tensor, parameters: HyperParameters, seed: int, place: int) -> Iterator[Tensor]:
    """Returns the photos as they are, their mirror images, then crops in other light: a function of seed and place."""
    yield pixels
    if parameters.views > 1:
        yield pixels.flip(2)
    for view in range(2, parameters.views):
        variations = draw(len(pixels), parameters, generator(seed, "view", view, place))
        varied = augment(to_photos(pixels), variations, parameters.image_size)
        yield varied.mul(255).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
