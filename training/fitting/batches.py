"""The batches of a training. What is shown at a step is a pure function of the seed and the step.

So nothing of a sampler or generator is ever stored, and a training that goes on elsewhere sees the same photos.
"""

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from training.distributed.group import Group
from training.fitting.augment import Variations, augment, draw, mix
from training.fitting.pixels import LabelledPixels
from training.hyper_parameters import HyperParameters
from training.networks.model import to_photos

type _Raw = tuple[Tensor, Tensor, Variations]

_NOTHING: Final = -1
_GROWN: Final = 0.75  # of the steps, when photos are at their last size
_GRAIN: Final = 8  # pixels


class Batches:
    """One training's batches, and this process's part of each.

    On a GPU the next batch is gathered while the present step runs: into memory from which the GPU copies by itself.
    On a CPU the step needs all cores, and gathering ahead would only take turns with it.
    """

    def __init__(
        self, photos: LabelledPixels, *, classes: int, parameters: HyperParameters, seed: int, group: Group
    ) -> None:
        self._photos, self._classes, self._parameters = photos, classes, parameters
        self._seed, self._group = seed, group
        self.size = min(parameters.batch_size, len(photos))
        self.per_epoch = len(photos) // self.size
        self.steps = self.per_epoch * parameters.epochs
        self._places = group.indices(self.size)
        self._order = lru_cache(2)(self._shuffle)
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="batches") if group.device.type == "cuda" else None
        self._next: tuple[int, Future[_Raw] | None] = _NOTHING, None

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Returns varied photos and their target distributions, on the group's device."""
        pixels, targets, variations = self._take(step)
        device = self._group.device
        size = resolution(self._parameters, step=step, steps=self.steps)
        photos = augment(to_photos(pixels.to(device, non_blocking=True)), variations, size)
        targets = one_hot(targets, self._classes).float().to(device, non_blocking=True)
        if self._parameters.mixup:
            chance = np.random.default_rng(derive(self._seed, "mixup", step))
            photos, targets = mix(photos, targets, float(chance.beta(self._parameters.mixup, self._parameters.mixup)))
        return photos, targets

    def _take(self, step: int) -> _Raw:
        if self._ahead is None:
            return self._gather(step)
        expected, coming = self._next
        taken = coming.result() if coming is not None and expected == step else self._gather(step)
        self._next = step + 1, self._ahead.submit(self._gather, step + 1)
        return taken

    def _gather(self, step: int) -> _Raw:
        epoch, place = divmod(step, self.per_epoch)
        batch = self._order(epoch)[place * self.size : (place + 1) * self.size]
        variations = draw(self.size, self._parameters, generator(self._seed, "variation", step))
        if self._group.size > 1:
            batch, variations = batch[self._places], variations.at(self._places)
        pixels = self._photos.pixels[batch]
        return pixels.pin_memory() if self._ahead else pixels, self._photos.targets[batch], variations

    def _shuffle(self, epoch: int) -> Tensor:
        return torch.randperm(len(self._photos), generator=generator(self._seed, "order", epoch))


def resolution(parameters: HyperParameters, *, step: int, steps: int) -> int:
    """Returns the side at which a step shows photos, in pixels: it grows evenly until _GROWN, in steps of _GRAIN.

    Small photos teach most of what large ones do, at a fraction of their cost (Howard, DAWNBench 2018; Tan & Le, 2021).
    """
    end = parameters.image_size
    start = parameters.start_size or end
    grown = min(1.0, step / (_GROWN * steps))
    return start + round((end - start) * grown / _GRAIN) * _GRAIN if grown < 1 else end


def derive(seed: int, *where: str | int) -> int:
    """Returns the seed of one random choice, from the training's seed and where the choice is made."""
    digest = hashlib.sha256(repr((seed, *where)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *where: str | int) -> torch.Generator:
    """Returns a generator for one random choice."""
    return torch.Generator().manual_seed(derive(seed, *where))
