"""What a camera might also have seen: other framing, light, night, glare, a fence, blur, a poor connection.

Everything that is random is drawn first, for a whole batch and for every kind of variation whether it is used or not.
So what happens to a photo depends on the seed, the epoch and its place in the order alone: not on how many processes
share a batch, nor on which other variations are switched on. Applying works on any device, in batches.
"""

import math
from dataclasses import dataclass, fields
from functools import cache
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, pad

from training.hyper_parameters import HyperParameters

# Quantisation of luminance in JPEG at quality 50 (ITU-T T.81, table K.1).
_QUANTISATION = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


@dataclass(frozen=True, kw_only=True)
class Variations:
    """What must happen to each of N photos; tensors on the CPU, whose first dimension is N."""

    matrix: Tensor  # [N, 2, 3] where each pixel comes from: crop, turn and mirror
    light: Tensor  # [N, 2] contrast and brightness, each added to what is there
    greyscale: Tensor  # [N] bool, as are the next three
    infrared: Tensor
    blur: Tensor
    jpeg: Tensor
    coarseness: Tensor  # [N] of JPEG's quantisation, as a multiple of quality 50's
    glare: Tensor  # [N] bool
    spot: Tensor  # [N, 4] strength, x, y, radius; the photo is 2 wide and high, its middle 0
    bars: Tensor  # [N] bool
    fence: Tensor  # [N, 5] bars a photo, phase, share that they cover, angle, brightness

    def at(self, places: Tensor) -> Self:
        """Returns those of some photos."""
        return type(self)(**{field.name: getattr(self, field.name)[places] for field in fields(self)})


def draw(count: int, parameters: HyperParameters, generator: torch.Generator) -> Variations:
    """Draw for `count` photos; the same generator state yields the same variations."""

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    def some(share: float) -> Tensor:
        return torch.rand(count, generator=generator) < share

    return Variations(
        matrix=_frames(count, parameters, generator),
        light=between(-1, 1, 2) * parameters.light,
        greyscale=some(parameters.greyscale),
        infrared=some(parameters.infrared),
        blur=some(parameters.blur),
        jpeg=some(parameters.jpeg),
        coarseness=between(1, 5),
        glare=some(parameters.glare),
        spot=torch.stack([between(0.3, 1), between(-1, 1), between(-1, 1), between(0.1, 0.6)], 1),
        bars=some(parameters.bars),
        fence=torch.stack([between(2, 8), between(0, 1), between(0.05, 0.3), between(-0.3, 0.3), between(0, 0.8)], 1),
    )


def augment(photos: Tensor, variations: Variations, size: int | None = None) -> Tensor:
    """Vary photos [N, 3, S, S] in 0 to 1, in the order in which light meets scene, lens, sensor and network.

    They leave at `size` pixels squared, by default as they came: one resampling frames and shrinks them.
    """
    photos = _reframe(photos, variations.matrix, size or photos.shape[3])
    photos = _relight(photos, variations.light)
    for chosen, vary, facts in (
        (variations.bars, _behind_bars, variations.fence),
        (variations.glare, _glare, variations.spot),
        (variations.infrared, _infrared, variations.spot),
        (variations.greyscale, _greyscale, variations.spot),
        (variations.blur, _blur, variations.spot),
        (variations.jpeg, _compress, variations.coarseness),
    ):
        # Places are found on the CPU: reading their number from a GPU would wait for all of its work.
        places = chosen.nonzero()[:, 0]
        if len(places):
            there = places.to(photos.device)
            photos[there] = vary(photos[there], facts[places].to(photos.device))
    return photos


def mix(photos: Tensor, targets: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Blend every photo, and its target, with a share of another of the batch (mixup: Zhang et al., ICLR 2018)."""
    return photos.lerp(photos.flip(0), share), targets.lerp(targets.flip(0), share)


def _frames(count: int, parameters: HyperParameters, generator: torch.Generator) -> Tensor:
    scale = parameters.crop_scale + (1.05 - parameters.crop_scale) * torch.rand(count, generator=generator)
    angle = math.radians(parameters.rotation) * (2 * torch.rand(count, generator=generator) - 1)
    mirror = 1 - 2 * (torch.rand(count, generator=generator) < 0.5).float()
    room = (1 - scale).clamp(min=0)
    shift = (2 * torch.rand(count, 2, generator=generator) - 1) * room[:, None]
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    rows = [torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)]
    return torch.stack(rows, 1)


def _reframe(photos: Tensor, matrix: Tensor, size: int) -> Tensor:
    """Crop, turn and mirror in one resampling."""
    return grid_sample(
        photos, _grid(matrix.to(photos.device), photos, size), padding_mode="reflection", align_corners=False
    )


def _grid(matrix: Tensor, photos: Tensor, size: int) -> Tensor:
    """Result of torch's affine_grid, without its product of large matrices: several times faster."""
    x = (torch.arange(size, device=photos.device) * 2 + 1) / size - 1
    across, down, shift = matrix[:, :, :, None, None].unbind(2)
    grid = photos.new_empty(len(photos), size, size, 2)
    for axis in range(2):
        torch.add(across[:, axis] * x + shift[:, axis], down[:, axis] * x[:, None], out=grid[..., axis])
    return grid


def _relight(photos: Tensor, light: Tensor) -> Tensor:
    """Contrast turns around the middle grey. `photos` is ours already, and is changed in place."""
    contrast, brightness = light.to(photos.device)[:, :, None, None, None].unbind(1)
    return photos.mul_(1 + contrast).add_((brightness - contrast) * 0.5)


def _greyscale(photos: Tensor, _: Tensor) -> Tensor:
    return photos.mean(dim=1, keepdim=True).expand_as(photos)


def _infrared(photos: Tensor, _: Tensor) -> Tensor:
    """As at night under the camera's own lamp: no colour, mostly red's brightness, bright in the middle, hard."""
    weights = torch.tensor([0.6, 0.3, 0.1], device=photos.device).view(1, 3, 1, 1)
    x, y = _places(photos)
    lamp = 0.25 + 0.95 * torch.exp(-(x.square() + y.square()) / 0.9)
    grey = (photos * weights).sum(dim=1, keepdim=True) * lamp
    return ((grey - 0.4) * 1.3 + 0.4).expand_as(photos)


def _blur(photos: Tensor, _: Tensor) -> Tensor:
    return avg_pool2d(photos, 3, stride=1, padding=1, count_include_pad=False)


def _glare(photos: Tensor, spot: Tensor) -> Tensor:
    strength, at_x, at_y, radius = spot[:, :, None, None].unbind(1)
    x, y = _places(photos)
    shine = strength * torch.exp(-((x - at_x).square() + (y - at_y).square()) / (2 * radius.square()))
    return photos + shine[:, None]


def _behind_bars(photos: Tensor, fence: Tensor) -> Tensor:
    count, phase, cover, angle, brightness = fence[:, :, None, None].unbind(1)
    x, y = _places(photos)
    across = (x * torch.cos(angle) + y * torch.sin(angle)) * count / 2 + phase
    return torch.where((across.remainder(1) < cover)[:, None], brightness[:, None], photos)


def _compress(photos: Tensor, coarseness: Tensor) -> Tensor:
    """What JPEG loses: cosines of 8 by 8 pixels, rounded to its steps. The edge is repeated to whole blocks."""
    count, channels, height, width = photos.shape
    whole = pad(photos * 255 - 128, (0, -width % 8, 0, -height % 8), mode="replicate")
    blocks = whole.unfold(2, 8, 8).unfold(3, 8, 8)
    cosines = _cosines().to(photos.device)
    steps = torch.tensor(_QUANTISATION, dtype=torch.float32, device=photos.device) * coarseness.view(-1, 1, 1, 1, 1, 1)
    rounded = ((cosines @ blocks @ cosines.T) / steps).round() * steps
    restored = (cosines.T @ rounded @ cosines).permute(0, 1, 2, 4, 3, 5).reshape(count, channels, *whole.shape[2:])
    return (restored[:, :, :height, :width] + 128) / 255


@cache
def _cosines() -> Tensor:
    """Returns the orthonormal cosine transform of 8 values."""
    frequency, place = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    waves = torch.cos(math.pi * (2 * place + 1) * frequency / 16) / 2
    waves[0] /= math.sqrt(2)
    return waves


def _places(photos: Tensor) -> tuple[Tensor, Tensor]:
    """Returns x [1, 1, S] and y [1, S, 1] of every pixel, from -1 to 1."""
    x = torch.linspace(-1, 1, photos.shape[3], device=photos.device)
    y = torch.linspace(-1, 1, photos.shape[2], device=photos.device)
    return x[None, None, :], y[None, :, None]
