"""Pictures that show neither cat nor dog: made here, and cut-outs of photos laid on drawn lawns.

`far` things are objects, textures, text, noise and food; `near` ones are other animals, empty lawns by day and night,
and pets whose pieces were shuffled. Photographed ones are cut-outs with a transparent ground, as Debian's package
tuxpaint-stamps-default (GPL-2) has them; without its folder only the made ones are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from training.dataset.drawing import camera, scene
from training.dataset.drawing.animal import draw_animal

SIDE: Final = 288

FAR: Final = ("noise", "gradients", "text", "shapes", "objects", "food and plants", "scenes and textures")
NEAR: Final = ("other animals", "birds", "lawns by day", "lawns by night", "shuffled pets", "drawn pets")

_ANIMALS: Final = ("animals/mammals", "animals/marsupials")
_BIRDS: Final = ("animals/birds",)
_OBJECTS: Final = ("household", "vehicles", "hobbies", "clothes", "sports", "medical", "military", "town")
_PLANTS: Final = ("food", "plants")
_PETS: Final = frozenset({"dog.png", "dingo.png"})  # of the stamps: dogs are no strange things
_NOT_PHOTOS: Final = ("cartoon", "toys", "roadsigns", "flags")


@dataclass(frozen=True, kw_only=True)
class Strange:
    """One picture, as the bytes of a JPEG."""

    kind: str  # of FAR or NEAR
    name: str
    photo: bytes


def strange_pictures(
    *, seed: int, each: int, pets: Sequence[Path], stamps: Path | None, scenes: Sequence[Path]
) -> list[Strange]:
    """Make `each` pictures of every made kind, and one of every cut-out under `stamps` and of each of `scenes`."""
    rng = np.random.default_rng(seed)
    makers = {
        "noise": _noise,
        "gradients": _gradient,
        "text": _text,
        "shapes": _shapes,
        "lawns by day": lambda rng: _seen(rng, scene.draw_background(rng, SIDE)),
        "lawns by night": _night,
        "drawn pets": _drawn,
    }
    made = [
        Strange(kind=kind, name=f"{kind} {number}", photo=_jpeg(make(rng)))
        for kind, make in makers.items()
        for number in range(each)
    ]
    for place in rng.choice(len(pets), min(each, len(pets)), replace=False):
        made.append(Strange(kind="shuffled pets", name=pets[place].name, photo=_jpeg(_shuffled(rng, pets[place]))))
    if stamps is not None:
        groups = (("other animals", _ANIMALS), ("birds", _BIRDS), ("objects", _OBJECTS), ("food and plants", _PLANTS))
        for kind, folders in groups:
            for path in _cut_outs(stamps, folders):
                made.append(Strange(kind=kind, name=path.name, photo=_jpeg(_laid(rng, path))))
    made += [Strange(kind="scenes and textures", name=path.name, photo=_jpeg(_opened(path))) for path in scenes]
    return made


def _cut_outs(stamps: Path, folders: Sequence[str]) -> list[Path]:
    found = [path for folder in folders for path in sorted((stamps / folder).rglob("*.png"))]
    return [
        path
        for path in found
        if path.name not in _PETS and not any(part in _NOT_PHOTOS for part in path.relative_to(stamps).parts)
    ]


def _laid(rng: np.random.Generator, path: Path) -> Image.Image:
    """Lay a cut-out on a drawn place, as large as animals are in photos."""
    ground = scene.draw_background(rng, SIDE)
    with Image.open(path) as opened:
        thing = opened.convert("RGBA")
    thing = thing.crop(thing.getchannel("A").getbbox() or (0, 0, *thing.size))
    scale = SIDE * rng.uniform(0.6, 0.95) / max(thing.size)
    thing = thing.resize((max(1, round(thing.width * scale)), max(1, round(thing.height * scale))))
    free = (SIDE - thing.width, SIDE - thing.height)
    ground.paste(thing, (int(rng.integers(free[0] + 1)), int(rng.integers(free[1] + 1))), thing)
    return ground


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        return opened.convert("RGB").resize((SIDE, SIDE))


def _shuffled(rng: np.random.Generator, path: Path) -> Image.Image:
    """Shuffle a photo's 6 x 6 pieces: a pet's colours and fur, and no pet."""
    pieces, side = 6, SIDE // 6
    pixels = np.asarray(_opened(path)).reshape(pieces, side, pieces, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    mixed = pixels[rng.permutation(len(pixels))].reshape(pieces, pieces, side, side, 3).swapaxes(1, 2)
    return Image.fromarray(mixed.reshape(SIDE, SIDE, 3))


def _drawn(rng: np.random.Generator) -> Image.Image:
    kind = "cat" if rng.random() < 0.5 else "dog"
    return _seen(rng, scene.place(rng, scene.draw_background(rng, SIDE), draw_animal(rng, kind, SIDE)))


def _night(rng: np.random.Generator) -> Image.Image:
    """A lawn by infrared light: grey, brighter in the middle, noisy."""
    grey = np.asarray(scene.draw_background(rng, SIDE).convert("L"), dtype=np.float64)
    away = np.hypot(*np.meshgrid(*(np.linspace(-1, 1, SIDE),) * 2))
    lit = grey * (1.1 - 0.7 * away) * rng.uniform(0.3, 0.8) + rng.normal(0, rng.uniform(3, 9), grey.shape)
    return Image.fromarray(lit.clip(0, 255).astype(np.uint8)).convert("RGB")


def _seen(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    with Image.open(BytesIO(camera.take(rng, picture))) as opened:
        return opened.convert("RGB")


def _noise(rng: np.random.Generator) -> Image.Image:
    cells = int(rng.choice([4, 16, 64, SIDE]))
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3)).astype(np.uint8))
    return coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _gradient(rng: np.random.Generator) -> Image.Image:
    one, other = rng.integers(0, 256, (2, 3))
    share = np.linspace(0, 1, SIDE)[:, None, None] * np.ones((1, SIDE, 1))
    if rng.random() < 0.5:
        share = share.swapaxes(0, 1)
    if rng.random() < 0.3:
        share = np.full_like(share, 0.5)  # one colour all over
    return Image.fromarray((one + (other - one) * share).astype(np.uint8))


def _text(rng: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in rng.integers(200, 256, 3)))
    draw = ImageDraw.Draw(page)
    letters = "abcdefghijklmnopqrstuvwxyz     "
    for y in range(8, SIDE - 8, int(rng.integers(14, 30))):
        draw.text((10, y), "".join(rng.choice(list(letters), 44)), fill=(30, 30, 30))
    return page


def _shapes(rng: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", (SIDE, SIDE), tuple(int(v) for v in rng.integers(0, 256, 3)))
    draw = ImageDraw.Draw(page)
    for _ in range(rng.integers(2, 9)):
        corners = [float(v) for v in rng.uniform(0, SIDE, 4)]
        box = (*np.minimum(corners[:2], corners[2:]), *np.maximum(corners[:2], corners[2:]))
        fill = tuple(int(v) for v in rng.integers(0, 256, 3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=fill)
    return page.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 2))))


def _jpeg(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=90)
    return out.getvalue()


type Pixels = npt.NDArray[np.uint8]
