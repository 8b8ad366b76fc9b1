"""The place: ground, sky or wall, things that stand about, and the animal laid into it with its shadow."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

_GROUNDS = ((96, 128, 70), (142, 130, 112), (122, 122, 124), (168, 148, 110), (84, 100, 84), (150, 110, 90))
_BACKS = ((168, 190, 212), (120, 142, 112), (178, 170, 160), (110, 104, 104), (200, 196, 188), (134, 96, 78))


def draw_background(rng: np.random.Generator, size: int) -> Image.Image:
    """Draw an empty corner of a park: ground and back, textured, with posts, tufts, stones and litter."""
    horizon = int(size * rng.uniform(0.15, 0.65))
    pixels = np.empty((size, size, 3), dtype=np.float32)
    pixels[:horizon] = rng.choice(_BACKS) + rng.uniform(-24, 24, 3)
    pixels[horizon:] = rng.choice(_GROUNDS) + rng.uniform(-24, 24, 3)
    for cells in (8, 40):
        pixels += _noise(rng, size, cells, rng.uniform(3, 11))[:, :, None]
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    _draw_things(rng, image, horizon)
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.6)))


def place(rng: np.random.Generator, background: Image.Image, animal: Image.Image) -> Image.Image:
    """Lay the animal, with fur texture and a soft shadow, into its place."""
    size = background.width
    grain = _noise(rng, size, 60, rng.uniform(2, 9)) + _noise(rng, size, 5, rng.uniform(2, 12))
    alpha = animal.getchannel("A")
    furry = (np.asarray(animal.convert("RGB"), dtype=np.float32) + grain[:, :, None]).clip(0, 255).astype(np.uint8)
    shadow = ImageChops.offset(alpha, int(rng.integers(-6, 7)), int(rng.integers(1, 7)))
    strength = rng.uniform(0.15, 0.5)
    shadow = shadow.filter(ImageFilter.GaussianBlur(5)).point([round(v * strength) for v in range(256)])
    shaded = Image.composite(Image.new("RGB", background.size), background, shadow)
    return Image.composite(Image.fromarray(furry), shaded, alpha)


def _noise(rng: np.random.Generator, size: int, cells: int, strength: float) -> npt.NDArray[np.float32]:
    coarse = rng.standard_normal((cells, cells)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(smooth) * np.float32(strength)


def _draw_things(rng: np.random.Generator, image: Image.Image, horizon: int) -> None:
    draw = ImageDraw.Draw(image)
    size = image.width
    for _ in range(rng.integers(1, 6)):
        colour = tuple(int(v) for v in rng.integers(20, 230, 3))
        x, y = (float(v) for v in rng.uniform(0, size, 2))
        w, h = (float(v) for v in rng.uniform(4, 34, 2))
        shape = rng.integers(4)
        if shape == 0:
            draw.ellipse((x - w, y - h / 2, x + w, y + h / 2), fill=colour)
        elif shape == 1:
            draw.polygon([(x, y), (x + w, y), (x + w / 2, y - h)], fill=colour)
        elif shape == 2:
            draw.rectangle((x, horizon - h, x + w / 3, horizon + h), fill=colour)
        else:
            draw.line((x, y, x + 2 * (w - 17), y - h), fill=colour, width=int(rng.integers(1, 5)))
