"""Photos of a dataset as pixels in memory: fetched once, checked, decoded once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from imaging import decode
from registry.encoding import sha256_hex
from registry.errors import ObjectMissing
from registry.layout import photo_key
from registry.object_store import ObjectStore
from training.dataset.manifest import Photo
from training.errors import PhotoLost

WORKERS: Final = 16


@dataclass(frozen=True, kw_only=True)
class LabelledPixels:
    """Photos as the model sees them, in the order of `photos`."""

    photos: tuple[Photo, ...]
    pixels: Tensor  # uint8 [N, S, S, 3]
    targets: Tensor  # int64 [N], index into the labels

    def __len__(self) -> int:
        return len(self.photos)


def load_pixels(
    lake: ObjectStore, photos: Sequence[Photo], labels: Sequence[str], size: int, *, check: Callable[[], None]
) -> LabelledPixels:
    """Fetch and decode photos in parallel; PhotoLost. `check` is called for each and may raise to stop."""
    pixels = np.empty((len(photos), size, size, 3), dtype=np.uint8)

    def load(place: int) -> None:
        check()
        pixels[place] = decode(fetch(lake, photos[place]), size)

    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            for _ in pool.map(load, range(len(photos))):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    places = {label: place for place, label in enumerate(labels)}
    targets = torch.tensor([places[photo.label] for photo in photos])
    return LabelledPixels(photos=tuple(photos), pixels=torch.from_numpy(pixels), targets=targets)


def fetch(lake: ObjectStore, photo: Photo) -> bytes:
    """Fetch a photo's bytes, verified; PhotoLost."""
    try:
        data = lake.get(photo_key(photo.sha256))
    except ObjectMissing as error:
        raise PhotoLost(f"{photo.key} is not in the data lake; ingest the photos again") from error
    if sha256_hex(data) != photo.sha256:
        raise PhotoLost(f"{photo.key} has other bytes than it was ingested with; ingest the photos again")
    return data
