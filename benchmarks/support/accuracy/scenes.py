"""Photos as fixed cameras take them, drawn at little cost: few scenes, light that changes, an animal, noise."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

CAMERAS: Final = 20
SIDE: Final = 96
_COLOURS: Final = {"cat": (200, 120, 60), "dog": (60, 50, 45)}
_CELLS: Final = 8
"""A scene's brightness has this many cells along each side, which a perceptual hash distinguishes."""


def draw(directory: Path, count: int, *, seed: int = 1) -> Path:
    """Draw `count` photos into subfolders; returns the CSV index that gives their labels and cameras."""
    rng = np.random.default_rng(seed)
    scenes = [_scene(rng) for _ in range(CAMERAS)]
    index = directory / "index.csv"
    directory.mkdir()
    index.write_text("key,label,camera,captured_at\n" + "".join(_rows(count)))
    noise = rng.normal(0, 4, (64, SIDE, SIDE, 1)).astype(np.float32)
    for number in range(count):
        camera = number % CAMERAS
        picture = scenes[camera] * rng.uniform(0.85, 1.1) + noise[rng.integers(len(noise))]
        _put_animal(picture, _label(number), rng)
        folder = directory / "photos" / f"{camera:02}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{number:07}.jpg", quality=80)
    return index


def _label(number: int) -> str:
    return ("cat", "dog")[number // CAMERAS % 2]


def _rows(count: int) -> Iterator[str]:
    for number in range(count):
        camera = number % CAMERAS
        yield f"{camera:02}/{number:07}.jpg,{_label(number)},gate-{camera:02},\n"


def _scene(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    cells = Image.fromarray(rng.integers(30, 220, (_CELLS, _CELLS, 3)).astype(np.uint8))
    return np.asarray(cells.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.float32)


def _put_animal(picture: npt.NDArray[np.float32], label: str, rng: np.random.Generator) -> None:
    """A square of a class's colour somewhere, a sixth to a third of the side."""
    side = int(rng.integers(SIDE // 6, SIDE // 3))
    top, left = rng.integers(0, SIDE - side, 2)
    colour = np.array(_COLOURS[label]) * rng.uniform(0.8, 1.2)
    picture[top : top + side, left : left + side] = colour + rng.normal(0, 20, (side, side, 1))
