"""What a camera might also have seen: other framing, light, night, blur. Works on whole batches, on any device."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from training.hyper_parameters import HyperParameters


def augment(photos: Tensor, parameters: HyperParameters, generator: torch.Generator) -> Tensor:
    """Vary photos [N, 3, S, S] in 0 to 1; the same generator state gives the same variation."""
    photos = _reframe(photos, parameters, generator)
    photos = _relight(photos, parameters.light, generator)
    grey, blurred = _some(photos, parameters.greyscale, generator), _some(photos, parameters.blur, generator)
    photos[grey] = photos[grey].mean(dim=1, keepdim=True)
    photos[blurred] = avg_pool2d(photos[blurred], 3, stride=1, padding=1, count_include_pad=False)
    return photos


def mix(photos: Tensor, targets: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Blend every photo, and its target, with a share of another of the batch (mixup: Zhang et al., ICLR 2018)."""
    return photos.lerp(photos.flip(0), share), targets.lerp(targets.flip(0), share)


def _reframe(photos: Tensor, parameters: HyperParameters, generator: torch.Generator) -> Tensor:
    """Crop, turn and mirror in one resampling."""
    count = len(photos)
    scale = parameters.crop_scale + (1.05 - parameters.crop_scale) * torch.rand(count, generator=generator)
    angle = math.radians(parameters.rotation) * (2 * torch.rand(count, generator=generator) - 1)
    mirror = 1 - 2 * (torch.rand(count, generator=generator) < 0.5).float()
    room = (1 - scale).clamp(min=0)
    shift = (2 * torch.rand(count, 2, generator=generator) - 1) * room[:, None]
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    matrix = torch.stack(
        [torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)], 1
    ).to(photos.device)
    grid = affine_grid(matrix, list(photos.shape), align_corners=False)
    return grid_sample(photos, grid, padding_mode="reflection", align_corners=False)


def _relight(photos: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    def factor() -> Tensor:
        return ((2 * torch.rand(len(photos), 1, 1, 1, generator=generator) - 1) * strength).to(photos.device)

    return (photos - 0.5) * (1 + factor()) + 0.5 + factor() * 0.5


def _some(photos: Tensor, share: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(len(photos), generator=generator) < share).to(photos.device)
