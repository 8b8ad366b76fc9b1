"""A small network that learns from a large one: distillation without labels, on a CPU.

The student sees the same crops as its teacher (Beyer et al., CVPR 2022) and learns both its embedding (FitNets: Romero
et al., ICLR 2015) and the probabilities of its linear layer (Hinton et al., 2015). Labels are used only for linear
layers: the teacher's, and the student's own, which is fitted as recipe `transfer` fits one.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax, mse_loss, softmax

from benchmarks.support.accuracy.frozen import Embedded, Indices, frozen
from benchmarks.support.accuracy.our_training import Lake
from training.fitting.augment import augment, draw
from training.fitting.batches import derive, generator
from training.fitting.optimiser import build_optimiser
from training.hyper_parameters import FOR_FEW_PHOTOS, FOR_TRANSFER
from training.networks.embedding import BATCH, Embedder
from training.networks.head import Head
from training.networks.model import Classifier, build_model, to_photos

STUDENT: Final = "mobilenet_v3_small"
SIZE: Final = 96  # pixels: at 224 these minutes would show each crop a fifth as often
VIEWS: Final = 4  # crops of each photo
RECIPE: Final = replace(FOR_FEW_PHOTOS, architecture=STUDENT, image_size=SIZE, start_size=0, flips=0)


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What a teacher makes of V crops of N photos."""

    pixels: Tensor  # uint8 [N, V, S, S, 3], of the student's size
    embeddings: Tensor  # float16 [N, V, D], of the same crops at the teacher's size
    cpu_seconds: float


def prepare(lake: Lake, network: str, places: Indices, views: int = VIEWS) -> Lessons:
    """Show crops of the photos at `places` of the manifest to the teacher."""
    began = time.process_time()
    manifest = lake.manifest
    photos, size = [manifest.photos[place] for place in places], FOR_TRANSFER.image_size
    teacher = Embedder(frozen(network, len(manifest.labels)), size, torch.device("cpu"))
    small: list[Tensor] = []
    answers: list[Tensor] = []
    for begin in range(0, len(photos), BATCH):
        whole = to_photos(lake.pixels(photos[begin : begin + BATCH], size).pixels)
        for view in range(views):
            crops = draw(len(whole), FOR_TRANSFER, generator(0, "lesson", view, begin))
            answers.append(teacher.embed(_bytes(augment(whole, crops))))
            small.append(_bytes(augment(whole, crops, SIZE)))
    return Lessons(
        pixels=by_photo(small, views),
        embeddings=by_photo(answers, views),
        cpu_seconds=time.process_time() - began,
    )


def teach(
    lessons: Lessons,
    head: Head,
    *,
    seed: int,
    cpu_seconds: float,
    batch: int = RECIPE.batch_size,
    clock: Callable[[], float] = time.process_time,
) -> Classifier:
    """Train a student from random weights for so long; the learning rate follows a cosine over that time."""
    torch.manual_seed(derive(seed, "student"))
    student = build_model(STUDENT, len(head.weight)).to(memory_format=torch.channels_last).train()
    widen = nn.Linear(student.head.in_features, lessons.embeddings.shape[2])
    optimiser = build_optimiser(nn.ModuleList([student, widen]), RECIPE)
    flat = lessons.embeddings.flatten(0, 1).float()
    mean, scale = flat.mean(dim=0), flat.std(dim=0).mean()
    order = np.random.default_rng(derive(seed, "order"))
    count, views = lessons.pixels.shape[:2]
    started = clock()
    while (spent := (clock() - started) / cpu_seconds) < 1:
        for chosen in order.permutation(count)[: max(1, count // batch) * batch].reshape(max(1, count // batch), -1):
            if (spent := (clock() - started) / cpu_seconds) >= 1:
                break
            places, crops = torch.from_numpy(chosen), torch.from_numpy(order.integers(views, size=len(chosen)))
            for settings in optimiser.param_groups:
                settings["lr"] = RECIPE.learning_rate * 0.5 * (1 + math.cos(math.pi * spent))
            target = lessons.embeddings[places, crops].float()
            photos = to_photos(lessons.pixels[places, crops]).contiguous(memory_format=torch.channels_last)
            embedding = student.places(photos).mean(dim=(2, 3))
            loss = mse_loss(widen(embedding), (target - mean) / scale) + kl_div(
                log_softmax(student.head(embedding), dim=1),
                softmax(head.logits(target).float(), dim=1),
                reduction="batchmean",
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    return student.eval()


def embed_by(student: Classifier, lake: Lake, targets: Tensor) -> Embedded:
    """Embed all photos of `lake`, as a job embeds them by a frozen network."""
    manifest = lake.manifest
    embedder = Embedder(student, SIZE, torch.device("cpu"))
    parts: list[Tensor] = []
    for begin in range(0, len(manifest.photos), BATCH):
        pixels = lake.pixels(manifest.photos[begin : begin + BATCH], SIZE).pixels
        parts.append(torch.stack([embedder.embed(pixels), embedder.embed(pixels.flip(2).contiguous())]))
    plain, mirrored = torch.cat(parts, dim=1)
    none = np.full(len(manifest.photos), "")
    return Embedded(plain=plain, mirrored=mirrored, targets=targets, groups=none, labels=manifest.labels)


def by_photo(parts: list[Tensor], views: int) -> Tensor:
    """Order what was made batch by batch and view by view: [N, V, …]."""
    batches = [torch.stack(parts[begin : begin + views], dim=1) for begin in range(0, len(parts), views)]
    return torch.cat(batches)


def _bytes(photos: Tensor) -> Tensor:
    return photos.mul(255).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
