"""What happens to pictures on their way from a park: night, weather, dirt, cheap lenses and cheap links.

Every corruption is a pure function of (pixels, severity, seed): uint8 [H, W, 3] in and out, severity 1 to 5, and the
same seed gives the same pixels. A higher severity is never nearer to the original. Lengths are shares of the picture's
side, so that a severity means the same for a model that sees 48 pixels and one that sees 224. The idea, five severities
and the mean over them are Hendrycks & Dietterich's (ICLR 2019); the list is that of cameras, not of ImageNet-C.
"""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

SEVERITIES: Final = (1, 2, 3, 4, 5)

type Pixels = npt.NDArray[np.uint8]
type Corruption = Callable[[Pixels, int, int], Pixels]

_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as in `imaging.measures`


def night(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Infra-red: colour goes first, then light and contrast, and the sensor's noise comes up."""
    colour, light, noise = _of(severity, (0.5, 0.25, 0, 0, 0), (0.9, 0.75, 0.6, 0.45, 0.3), (1, 2, 4, 7, 10))
    grey = (pixels @ _LUMA)[:, :, None]
    shown = light * (grey + colour * (pixels - grey))
    return _uint8(shown + noise * _draw(seed, (*pixels.shape[:2], 1)))


def blur(pixels: Pixels, severity: int, seed: int) -> Pixels:  # noqa: ARG001 - all corruptions look alike
    """Out of focus, or rain on the dome: a Gaussian of up to 5 % of the side."""
    (share,) = _of(severity, (0.008, 0.015, 0.024, 0.036, 0.05))
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(share * max(pixels.shape))))


def motion_blur(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """A long exposure at dusk: a streak of up to 20 % of the side, in a direction of the seed's choice."""
    (share,) = _of(severity, (0.04, 0.07, 0.1, 0.15, 0.2))
    angle = np.random.default_rng(seed).uniform(0, np.pi)
    height, width = pixels.shape[:2]
    total = np.zeros(pixels.shape, dtype=np.float32)
    offsets = np.linspace(-0.5, 0.5, 9) * share * max(height, width)
    rows, columns = np.arange(height), np.arange(width)
    for offset in offsets:
        down = (rows + round(offset * float(np.sin(angle)))).clip(0, height - 1)
        right = (columns + round(offset * float(np.cos(angle)))).clip(0, width - 1)
        total += pixels[down[:, None], right[None, :]]
    return _uint8(total / len(offsets))


def jpeg(pixels: Pixels, severity: int, seed: int) -> Pixels:  # noqa: ARG001 - all corruptions look alike
    """A link that is too slow for the picture: JPEG at quality 40 down to 4."""
    (quality,) = _of(severity, (40, 25, 15, 8, 4))
    return reencoded(pixels, int(quality))


def noise(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """High gain: each channel of each pixel by itself, with a deviation of up to 50 grey levels."""
    (deviation,) = _of(severity, (8, 14, 22, 34, 50))
    return _uint8(pixels + deviation * _draw(seed, pixels.shape))


def glare(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """Headlights or a low sun: a soft white spot that grows, somewhere in the upper two thirds."""
    strength, radius = _of(severity, (0.35, 0.55, 0.75, 0.9, 1.0), (0.16, 0.2, 0.26, 0.34, 0.44))
    height, width = pixels.shape[:2]
    across, down = np.random.default_rng(seed).uniform((0.15, 0.1), (0.85, 0.65))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = ((x / width - across) ** 2 + (y / height - down) ** 2) / radius**2
    light = (strength * np.exp(-distance / 2))[:, :, None]
    return _uint8(pixels + light * (255 - pixels.astype(np.float32)))


def bars(pixels: Pixels, severity: int, seed: int) -> Pixels:
    """A fence between camera and animal: dark bars over up to 45 % of the picture."""
    (covered,) = _of(severity, (0.1, 0.18, 0.26, 0.35, 0.45))
    phase = np.random.default_rng(seed).uniform()
    hidden = (np.arange(pixels.shape[1]) * 5 / pixels.shape[1] + phase) % 1 < covered
    return np.where(hidden[None, :, None], np.uint8(38), pixels)


def low_resolution(pixels: Pixels, severity: int, seed: int) -> Pixels:  # noqa: ARG001 - all corruptions look alike
    """An animal far away: the picture keeps 70 % down to 15 % of its side."""
    (share,) = _of(severity, (0.7, 0.5, 0.35, 0.23, 0.15))
    image = Image.fromarray(pixels)
    small = image.resize([max(1, round(side * share)) for side in image.size], Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.BILINEAR))


CORRUPTIONS: Final[Mapping[str, Corruption]] = MappingProxyType(
    {
        "night": night,
        "blur": blur,
        "motion blur": motion_blur,
        "JPEG": jpeg,
        "noise": noise,
        "glare": glare,
        "bars": bars,
        "low resolution": low_resolution,
    }
)
"""All of them, by the name that reports use."""


def reencoded(pixels: Pixels, quality: int) -> Pixels:
    """Write as JPEG and read again."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def shifted(pixels: Pixels, down: int, right: int) -> Pixels:
    """Move pictures [..., H, W, 3] by whole pixels; the edge is repeated where nothing is known."""
    height, width = pixels.shape[-3:-1]
    rows, columns = (np.arange(height) - down).clip(0, height - 1), (np.arange(width) - right).clip(0, width - 1)
    return pixels[..., rows[:, None], columns[None, :], :]


def _of(severity: int, *tables: tuple[float, ...]) -> tuple[float, ...]:
    if severity not in SEVERITIES:
        raise ValueError(f"severity is 1 to 5, not {severity}")
    return tuple(table[severity - 1] for table in tables)


def _draw(seed: int, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def _uint8(values: npt.NDArray[np.floating]) -> Pixels:
    return values.clip(0, 255).astype(np.uint8)
