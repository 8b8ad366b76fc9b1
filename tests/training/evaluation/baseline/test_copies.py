"""A photo in other bytes is the same photo; another photo of the same camera is not."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from imaging import measure
from imaging.measures import mirrored_hash
from training.dataset.duplicates.near_duplicates import NEAR
from training.evaluation.baseline.copies import agree, find_copies, grid

SIZE = (320, 240)


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A photo, and what a manifest says of it."""

    data: bytes
    perceptual_hash: str
    brightness: float
    captured_at: str | None = None


def lawn(seed: int = 0) -> Image.Image:
    """What a camera sees: large shapes, some detail."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
    fine = Image.fromarray(draw.integers(0, 255, (30, 40, 3), dtype=np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
    return Image.blend(coarse, fine, 0.25)


def with_animal(photo: Image.Image, across: float, down: float, size: float = 0.18) -> Image.Image:
    """A dark animal somewhere."""
    (width, height), left, top = photo.size, photo.width * across, photo.height * down
    ImageDraw.Draw(photo).ellipse((left, top, left + width * size, top + height * size), fill=(20, 15, 10))
    return photo


def shot(photo: Image.Image, *, quality: int = 90, captured_at: str | None = None) -> Shot:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=quality)
    looks = measure(buffer.getvalue())
    return Shot(
        data=buffer.getvalue(),
        perceptual_hash=f"{looks.perceptual_hash:016x}",
        brightness=looks.brightness,
        captured_at=captured_at,
    )


def copies(photos: Sequence[Shot], known: Sequence[Shot], *, gone: bool = False) -> list[int | None]:
    return find_copies(
        photos,
        known,
        grid=lambda place: grid(photos[place].data),
        grid_of_known=lambda place: None if gone else grid(known[place].data),
    )


def bits(one: Shot, other: Shot) -> int:
    return (int(one.perceptual_hash, 16) ^ int(other.perceptual_hash, 16)).bit_count()


def cropped(photo: Image.Image, share: float) -> Image.Image:
    across, down = photo.width * share / 2, photo.height * share / 2
    return photo.crop((round(across), round(down), round(photo.width - across), round(photo.height - down)))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "encoded again": lambda photo: photo,
    "half as large": lambda photo: photo.resize((160, 120)),
    "mirrored": ImageOps.mirror,
    "mirrored and smaller": lambda photo: ImageOps.mirror(photo).resize((200, 150)),
    "cropped by 1 %": lambda photo: cropped(photo, 0.01),
    "a tenth brighter": lambda photo: ImageEnhance.Brightness(photo).enhance(1.1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_photo_in_other_bytes_is_a_copy(change: str):
    known = [shot(lawn(seed)) for seed in range(6)]
    changed = [shot(CHANGES[change](lawn(seed)), quality=60) for seed in range(6)]
    assert copies(changed, known) == list(range(6))


def test_other_photos_are_no_copies():
    assert copies([shot(lawn(seed)) for seed in range(20, 40)], [shot(lawn(seed)) for seed in range(20)]) == [None] * 20


def test_another_animal_before_the_same_camera_is_no_copy_though_the_hash_is_near():
    places = [(0.1, 0.1), (0.7, 0.2), (0.4, 0.7), (0.1, 0.6)]
    frames = [shot(with_animal(lawn(), *place)) for place in places]
    empty = shot(lawn())
    assert sum(bits(frame, empty) <= NEAR for frame in frames) >= 2  # which is why the hash alone will not do
    assert copies(frames, [empty]) == [None] * len(frames)
    assert copies(frames[:2], frames[2:]) == [None, None]
    again = shot(with_animal(lawn(), *places[1]), quality=50)
    assert copies([again], [empty, *frames]) == [2]


def test_of_a_cameras_frames_of_one_hash_the_right_one_is_found():
    light = [ImageEnhance.Brightness(lawn()).enhance(1 - n / 40) for n in range(24)]
    assert copies([shot(light[20], quality=60)], [shot(each) for each in light]) == [20]


def test_the_same_lawn_an_hour_later_is_no_copy_if_the_times_are_known():
    first, later = "2026-03-01T10:00:00", "2026-03-01T11:00:00"
    known = [shot(lawn(), captured_at=first)]
    assert copies([shot(lawn(), quality=60, captured_at=later)], known) == [None]
    assert copies([shot(lawn(), quality=60, captured_at="2026-03-01T10:00:20")], known) == [0]
    assert copies([shot(lawn(), quality=60)], known) == [0]
    assert copies([shot(lawn(), captured_at="2026-02-31T10:00:00")], known) == [0]  # no day that there is


def test_a_black_night_is_no_copy_of_another():
    nights = [shot(Image.new("RGB", SIZE, (level, level, level))) for level in (3, 4)]
    assert copies(nights[:1], nights[1:]) == [None]


def test_of_a_known_photo_that_is_gone_the_hash_alone_decides():
    known = [shot(lawn())]
    assert copies([shot(lawn(), quality=60)], known, gone=True) == [0]
    far = replace(known[0], perceptual_hash=f"{int(known[0].perceptual_hash, 16) ^ 0b1111:016x}")
    assert copies([far], known, gone=True) == [None]
    assert copies([replace(known[0], perceptual_hash=f"{int(known[0].perceptual_hash, 16) ^ 0b111:016x}")], known) == [
        0
    ]


def test_pictures_agree_where_no_place_differs_by_a_tenth():
    dark = np.full((16, 16), 0.3, np.float32)
    spot = dark.copy()
    spot[3, 4] = 0.39
    assert agree(dark, spot)
    spot[3, 4] = 0.41
    assert not agree(dark, spot)
    assert agree(spot, spot[:, ::-1])


@pytest.mark.parametrize("seed", range(5))
def test_the_hash_of_the_mirror_image_follows_from_the_hash(seed: int):
    upright, mirrored = (int(shot(photo).perceptual_hash, 16) for photo in (lawn(seed), ImageOps.mirror(lawn(seed))))
    assert (mirrored_hash(upright) ^ mirrored).bit_count() <= 1
    assert mirrored_hash(mirrored_hash(upright)) == upright
