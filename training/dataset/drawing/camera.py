"""What a CCTV camera does to a scene: light, infra-red at night, fences in the way, blur, noise, compression."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def take(rng: np.random.Generator, view: Image.Image) -> bytes:
    """Photograph the view; returns JPEG bytes."""
    if rng.random() < 0.2:
        _put_fence(rng, view)
    blur = float(rng.choice([0.0, 0.6, 1.2, 2.0], p=[0.5, 0.3, 0.15, 0.05]))
    image = view.filter(ImageFilter.GaussianBlur(blur)) if blur else view
    pixels = np.asarray(image, dtype=np.float32) / 255
    pixels = _at_night(rng, pixels) if rng.random() < 0.25 else _by_day(rng, pixels)
    pixels = pixels + rng.standard_normal(pixels.shape, dtype=np.float32) * rng.uniform(0.0, 0.03)
    buffer = io.BytesIO()
    quality = int(rng.integers(35, 92))
    Image.fromarray((pixels * 255).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _by_day(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    light = rng.uniform(0.6, 1.2) * (1 + rng.uniform(-0.12, 0.12, 3))
    across = np.linspace(rng.uniform(0.7, 1.1), rng.uniform(0.7, 1.1), pixels.shape[1], dtype=np.float32)
    return (pixels ** rng.uniform(0.8, 1.25)) * light.astype(np.float32) * across[None, :, None]


def _at_night(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """See in infra-red: no colour, a bright middle, dark corners."""
    grey = pixels @ rng.dirichlet([2, 2, 2]).astype(np.float32)
    side = np.linspace(-1, 1, grey.shape[0], dtype=np.float32)
    vignette = np.exp(-rng.uniform(0.2, 0.8) * (side[:, None] ** 2 + side[None, :] ** 2))
    seen = rng.uniform(0.02, 0.12) + grey ** rng.uniform(0.6, 1.2) * vignette * rng.uniform(0.8, 1.2)
    return np.repeat(seen[:, :, None], 3, axis=2)


def _put_fence(rng: np.random.Generator, view: Image.Image) -> None:
    draw = ImageDraw.Draw(view)
    size = view.width
    colour = tuple(int(v) for v in rng.integers(20, 200, 3))
    width, gap = int(rng.integers(2, 7)), int(rng.integers(22, 50))
    lean = rng.uniform(-30, 30)
    for x in range(int(rng.integers(-40, gap - 40)), size + 40, gap):
        draw.line((x, -2, x + lean, size + 2), fill=colour, width=width)
