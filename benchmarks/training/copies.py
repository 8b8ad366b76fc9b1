"""How near a photo's changed copies are to it, and how near other frames of the same camera: `--photos DIR`.

Copies of real photos (encoded again, resized, mirrored, brightened, cropped), and frames of a fixed camera made of
each: the photo as the scene, with an animal, cut from another photo, somewhere else in the second frame. Printed are
the share whose hashes are near, the largest difference of brightness at 16×16 places, and the share that are copies by
both: what `training.evaluation.baseline.copies` decides by, and what its bounds rest on.

Ends with 1 if one in twenty photos that were encoded again or made half as large is no copy by both, or one in twenty
frames with another animal is one.
"""

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from imaging import perceptual_hash
from imaging.measures import mirrored_hash
from training.dataset.duplicates.near_duplicates import NEAR
from training.evaluation.baseline.copies import SAME, grid

type Change = Callable[[Image.Image, Image.Image, np.random.Generator], tuple[bytes, bytes]]
"""From a photo and another one: two files to compare."""

FEW: Final = 0.05


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of real photos; without one nothing is measured")
    parser.add_argument("--count", type=int, default=60, help="of them (60)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    if options.photos is None:
        console.print("no photos: say where some are (--photos DIR); drawn ones would say nothing of cameras")
        return 0
    rng = np.random.default_rng(options.seed)
    paths = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    chosen = [paths[n] for n in rng.permutation(len(paths))[: options.count]]
    photos = [Image.open(path).convert("RGB") for path in chosen]
    shown = Table(title=f"{len(photos)} photos", title_justify="left")
    for name in ("", "hash near", "largest difference: median (90 %)", "copies"):
        shown.add_column(name, justify="right" if name else "left", no_wrap=True)
    shares: dict[str, float] = {}
    for name, change in CHANGES.items():
        pairs = [change(photo, photos[n - 1], rng) for n, photo in enumerate(photos)]
        near = np.array([is_near(one, other) for one, other in pairs])
        apart = np.array([difference(one, other) for one, other in pairs])
        shares[name] = float((near & (apart <= SAME)).mean())
        median, high = np.quantile(apart, [0.5, 0.9])
        shown.add_row(name, f"{near.mean():.0%}", f"{median:.3f} ({high:.3f})", f"{shares[name]:.0%}")
    console.print(shown)
    kept = all(shares[name] > 1 - FEW for name in FOUND) and all(shares[name] < FEW for name in OTHERS)
    console.print(f"copies are found, other animals are not: {'kept' if kept else 'missed'}")
    return 0 if kept else 1


def is_near(one: bytes, other: bytes) -> bool:
    """By hash, upright or mirrored."""
    first, second = perceptual_hash(one), perceptual_hash(other)
    return min((first ^ second).bit_count(), (mirrored_hash(first) ^ second).bit_count()) <= NEAR


def difference(one: bytes, other: bytes) -> float:
    """The largest at any place, upright or mirrored, whichever is less."""
    first, second = grid(one), grid(other)
    return float(min(np.abs(first - second).max(), np.abs(first - second[:, ::-1]).max()))


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """As a file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def copied(change: Callable[[Image.Image], Image.Image], quality: int = 90) -> Change:
    """A photo and its changed copy."""
    return lambda photo, _, __: (jpeg(photo), jpeg(change(photo), quality))


def cropped(share: float) -> Change:
    """Without so much of each side's length, half of it at either end."""

    def change(photo: Image.Image) -> Image.Image:
        across, down = round(photo.width * share / 2), round(photo.height * share / 2)
        return photo.crop((across, down, photo.width - across, photo.height - down))

    return copied(change)


def animals(share: float) -> Change:
    """Two frames of one scene, an animal of so much of the shorter side somewhere in each."""

    def change(photo: Image.Image, other: Image.Image, rng: np.random.Generator) -> tuple[bytes, bytes]:
        side = round(min(photo.size) * share)
        animal = ImageOps.fit(other, (side, side))
        frames = [photo.copy(), photo.copy()]
        for frame, turned in zip(frames, (animal, ImageOps.mirror(animal)), strict=True):
            frame.paste(turned, (int(rng.integers(0, photo.width - side)), int(rng.integers(0, photo.height - side))))
        return jpeg(frames[0]), jpeg(frames[1])

    return change


def noisy(photo: Image.Image, _: Image.Image, rng: np.random.Generator) -> tuple[bytes, bytes]:
    """Two frames of one scene without animals, each with a sensor's noise."""
    frames = [np.asarray(photo, dtype=np.float32) + rng.normal(0, 4, (photo.height, photo.width, 1)) for _ in "ab"]
    one, other = (jpeg(Image.fromarray(frame.clip(0, 255).astype(np.uint8))) for frame in frames)
    return one, other


FOUND: Final = ("encoded again at quality 30", "half as large")
OTHERS: Final = ("another animal of 10 % of the side elsewhere", "another animal of 15 % of the side elsewhere")
CHANGES: Final[dict[str, Change]] = {
    FOUND[0]: copied(lambda photo: photo, 30),
    FOUND[1]: copied(lambda photo: photo.resize((photo.width // 2, photo.height // 2))),
    "mirrored": copied(ImageOps.mirror),
    "a tenth brighter": copied(lambda photo: ImageEnhance.Brightness(photo).enhance(1.1)),
    "cropped by 1 %": cropped(0.01),
    "cropped by 2 %": cropped(0.02),
    "cropped by 3 %": cropped(0.03),
    OTHERS[0]: animals(0.10),
    OTHERS[1]: animals(0.15),
    "the same without an animal, with noise": noisy,
}


if __name__ == "__main__":
    sys.exit(main())
