"""Photos of cats and dogs for tests, by day and by night: small, and learned in seconds.

By day colour and pattern tell them apart; at night a camera has no colour, and only the pattern is left.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from training.evaluation.figures.corruptions import night

KINDS = ("cat", "dog")
_SIDE = 24
_SEVERITY = 4
"""Of 5: infra-red, dark, with noise."""


def photo(kind: str, *, seed: int, dark: bool = False) -> bytes:
    """A cat is reddish with horizontal stripes, a dog bluish with vertical ones. The same seed, the same bytes."""
    rng = np.random.default_rng([seed, KINDS.index(kind), dark])
    wave = 40 * np.sin(np.arange(_SIDE) / _SIDE * 2 * np.pi * rng.integers(3, 6) + rng.uniform(0, 6))
    stripes = wave[:, None, None] if kind == "cat" else wave[None, :, None]
    tint = np.array((150, 110, 90) if kind == "cat" else (90, 110, 150)) + rng.normal(0, 14, 3)
    pixels = (tint + stripes + rng.normal(0, 10, (_SIDE, _SIDE, 3))).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(night(pixels, _SEVERITY, seed) if dark else pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def write_photos(directory: Path, *, per_class: int, seed: int, dark: bool = False) -> None:
    """Write `directory/<class>/…`, in addition to existing files."""
    for kind in KINDS:
        (directory / kind).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            name = f"{'night' if dark else 'day'}-{number:04d}.jpg"
            (directory / kind / name).write_bytes(photo(kind, seed=seed + number, dark=dark))
