"""Predictions of a trial on the validation photos, by the PyTorch network, from which its metric is computed."""

from typing import Final

import torch
from torch import nn

from training.fitting.pixels import LabelledPixels
from training.networks.model import to_photos
from training.search.choice import Answers

_BATCH: Final = 128


@torch.no_grad()
def answer(model: nn.Module, labels: tuple[str, ...], validate: LabelledPixels) -> Answers:
    """Returns the most probable class of every photo. The model must be on the CPU and in evaluation mode."""
    answered = torch.cat([model(to_photos(pixels)).argmax(dim=1) for pixels in validate.pixels.split(_BATCH)])
    return Answers(labels=labels, truth=tuple(validate.targets.tolist()), answered=tuple(answered.tolist()))
