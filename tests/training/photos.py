"""Photos for tests: small, and with one brightness per class, so that a model learns them in seconds."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def jpeg(seed: int, *, bright: bool = False, side: int = 32) -> bytes:
    """Noise on a dark or bright ground; the same seed gives the same bytes."""
    noise = np.random.default_rng(seed).integers(0, 90, (side, side, 3))
    buffer = io.BytesIO()
    Image.fromarray((noise + (150 if bright else 10)).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_photos(directory: Path, *, per_class: int, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Write class subfolders of photos; the first class is dark, the others are bright."""
    for place, label in enumerate(classes):
        (directory / label).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            photo = jpeg(place * 10_000 + number, bright=place > 0)
            (directory / label / f"{number:04d}.jpg").write_bytes(photo)
    return directory
