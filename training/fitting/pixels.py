"""Photos of a dataset as pixels, fetched once, checked, decoded once: in memory, or on local disk if they do not fit.

Every epoch after the first costs no network and no decoding. Where neither memory nor disk is large enough the job ends
with a sentence before anything was fetched, rather than being killed by the kernel in its last epoch.
"""

import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from imaging import decode
from registry.encoding import sha256_hex
from registry.errors import ObjectMissing
from registry.layout.data_lake import photo_key
from registry.store.object_store import ObjectStore
from registry.store.transfer import in_order
from training.dataset.manifest import Photo
from training.distributed.group import processes_here
from training.errors import OutOfMemory, PhotoLost
from training.instance.memory import free_memory

WORKERS: Final = 16
WAITING: Final = WORKERS
"""Photos that are queued behind those at work, so that a slow one stops no other thread."""
_AHEAD: Final = 2  # batches that are decoded while one is used
_SHARE: Final = 0.5  # of what is free: the network, its copies and the store's clients need the rest


@dataclass(frozen=True, kw_only=True)
class LabelledPixels:
    """Photos as the model sees them, in the order of `photos`."""

    photos: tuple[Photo, ...]
    pixels: Tensor  # uint8 [N, S, S, 3]
    targets: Tensor  # int64 [N], index into the labels

    def __len__(self) -> int:
        return len(self.photos)


def load_pixels(
    lake: ObjectStore,
    photos: Sequence[Photo],
    labels: Sequence[str],
    size: int,
    *,
    check: Callable[[], None],
    directory: Path | None = None,
) -> LabelledPixels:
    """Fetch and decode photos in parallel; PhotoLost, OutOfMemory. `check` is called for each and may raise to stop.

    `directory` is for pixels that do not fit into memory.
    """
    pixels = _room(len(photos), size, directory)

    def load(numbered: tuple[int, Photo]) -> None:
        check()
        place, photo = numbered
        pixels[place] = decode(fetch(lake, photo), size)

    for _ in in_order(load, enumerate(photos), at_once=WORKERS, waiting=WAITING):
        pass
    targets = targets_of(photos, labels)
    return LabelledPixels(photos=tuple(photos), pixels=torch.from_numpy(pixels), targets=targets)


def targets_of(photos: Sequence[Photo], labels: Sequence[str]) -> Tensor:
    """Returns the places of photos' labels, int64 [N]."""
    places = {label: place for place, label in enumerate(labels)}
    return torch.tensor([places[photo.label] for photo in photos])


def stream_pixels(
    lake: ObjectStore, photos: Sequence[Photo], size: int, *, batch: int, check: Callable[[], None]
) -> Iterator[Tensor]:
    """Fetch and decode photos in parallel, and yield uint8 [batch, S, S, 3] in their order, some ahead; PhotoLost.

    What was given is not kept, so a hundred thousand photos need no more memory than a hundred.
    """

    def load(photo: Photo) -> npt.NDArray[np.uint8]:
        check()
        return decode(fetch(lake, photo), size)

    coming: deque[list[Future[npt.NDArray[np.uint8]]]] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            for first in range(0, len(photos), batch):
                coming.append([pool.submit(load, photo) for photo in photos[first : first + batch]])
                if len(coming) > _AHEAD:
                    yield _stacked(coming.popleft())
            while coming:
                yield _stacked(coming.popleft())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _stacked(photos: list[Future[npt.NDArray[np.uint8]]]) -> Tensor:
    return torch.from_numpy(np.stack([photo.result() for photo in photos]))


def fetch(lake: ObjectStore, photo: Photo) -> bytes:
    """Fetch a photo's bytes, verified; PhotoLost."""
    try:
        data = lake.get(photo_key(photo.sha256))
    except ObjectMissing as error:
        raise PhotoLost(f"{photo.key} is not in the data lake; ingest the photos again") from error
    if sha256_hex(data) != photo.sha256:
        raise PhotoLost(f"{photo.key} has other bytes than it was ingested with; ingest the photos again")
    return data


def choose_place(wanted: int, *, memory: int, disk: int) -> Literal["memory", "disk"]:
    """Returns where to keep so many bytes of pixels, given what is free; OutOfMemory if nowhere."""
    if wanted <= memory * _SHARE:
        return "memory"
    if wanted <= disk * _SHARE:
        return "disk"
    raise OutOfMemory(
        f"{wanted / 2**30:.1f} GiB of pixels fit neither memory ({memory / 2**30:.1f} GiB free) nor disk "
        f"({disk / 2**30:.1f} GiB free); lower image_size, or take a larger instance"
    )


def _room(count: int, size: int, directory: Path | None) -> npt.NDArray[np.uint8]:
    shape = (count, size, size, 3)
    wanted = count * size * size * 3
    sharing = processes_here()  # each has all photos
    disk = shutil.disk_usage(directory).free // sharing if directory else 0
    if not wanted or choose_place(wanted, memory=free_memory() // sharing, disk=disk) == "memory":
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile(dir=directory) as file:  # has no name: it goes with the process, however that ends
        try:
            _reserve(file.fileno(), wanted)  # a full disk is learned here, not by a signal later
        except OSError as error:
            raise OutOfMemory(f"no room for {wanted / 2**30:.1f} GiB of pixels in {directory}: {error}") from error
        return np.memmap(file, dtype=np.uint8, shape=shape, mode="r+")


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS: the file has holes, and a full disk is learned when they are filled
        os.truncate(file, size)
