"""torchvision's reference recipe for classification, given so many processor seconds instead of so many epochs.

resnet18, RandomResizedCrop, mirroring, SGD with momentum 0.9, weight decay 1e-4, cosine; a learning rate of 0.1 for 256
photos a step, scaled to ours. https://github.com/pytorch/vision/tree/main/references/classification
"""

import io
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.transforms import v2

from training.networks.model import DEVIATION, MEAN

_BATCH: Final = 32
_RATE: Final = 0.1 * _BATCH / 256
_SHORT_SIDE: Final = 256 / 224  # of what the crop in the middle keeps


def train_reference(
    photos: Sequence[bytes],
    targets: Sequence[int],
    *,
    classes: int,
    size: int,
    seed: int,
    cpu_seconds: float,
    clock: Callable[[], float] = time.process_time,
) -> nn.Module:
    """Train for so long. Photos are decoded once, which the original does not do: it decodes them every epoch."""
    started = clock()
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    decoded = [_decode(photo) for photo in photos]
    vary = v2.Compose([v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()])
    model = resnet18(num_classes=classes).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=_RATE, momentum=0.9, weight_decay=1e-4)
    while (spent := (clock() - started) / cpu_seconds) < 1:
        for chosen in order.permutation(len(decoded))[: len(decoded) // _BATCH * _BATCH].reshape(-1, _BATCH):
            if (spent := (clock() - started) / cpu_seconds) >= 1:
                break
            for settings in optimiser.param_groups:
                settings["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * spent))
            batch = _normalise(torch.stack([vary(decoded[place]) for place in chosen]))
            loss = nn.functional.cross_entropy(model(batch), torch.tensor([targets[place] for place in chosen]))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    return model.eval()


@torch.no_grad()
def answer_reference(model: nn.Module, photos: Sequence[bytes], *, size: int) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Returns class indices, by the middle of each photo, as the recipe evaluates."""
    middle = v2.Compose([v2.Resize(round(size * _SHORT_SIDE), antialias=True), v2.CenterCrop(size)])
    batch = torch.stack([middle(_decode(photo)) for photo in photos])
    return torch.cat([model(_normalise(part)).argmax(dim=1) for part in batch.split(64)]).numpy()


def _decode(photo: bytes) -> Tensor:
    return v2.functional.pil_to_tensor(Image.open(io.BytesIO(photo)).convert("RGB"))


def _normalise(batch: Tensor) -> Tensor:
    photos = v2.functional.normalize(batch.float().div(255), list(MEAN), list(DEVIATION))
    return photos.contiguous(memory_format=torch.channels_last)
