"""Pixels lie where there is room, and are the same wherever they lie."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from registry.store.memory_store import MemoryStore
from training.dataset.ingest import Ingestion
from training.dataset.manifest import Photo, Split
from training.errors import OutOfMemory
from training.fitting.pixels import WAITING, WORKERS, LabelledPixels, choose_place, load_pixels


@pytest.mark.parametrize(
    ("memory", "disk", "place"), [(200, 0, "memory"), (200, 1_000, "memory"), (199, 200, "disk"), (0, 200, "disk")]
)
def test_memory_is_taken_while_half_of_it_is_enough_and_the_disk_after_that(memory: int, disk: int, place: str):
    assert choose_place(100, memory=memory, disk=disk) == place


def test_what_fits_nowhere_is_refused_with_advice():
    with pytest.raises(OutOfMemory, match="lower image_size"):
        choose_place(100, memory=199, disk=199)


def test_pixels_on_disk_are_those_in_memory_and_leave_no_file(
    monkeypatch: pytest.MonkeyPatch, lake: MemoryStore, ingestion: Ingestion, tmp_path: Path
):
    def load() -> LabelledPixels:
        photos = ingestion.manifest.part(Split.TEST)
        labels = ingestion.manifest.labels
        return load_pixels(lake, photos, labels, 32, check=lambda: None, directory=tmp_path)

    in_memory = load()
    monkeypatch.setattr("training.fitting.pixels.free_memory", lambda: 0)
    on_disk = load()
    assert np.array_equal(on_disk.pixels.numpy(), in_memory.pixels.numpy())
    assert on_disk.pixels.float().mean() > 0
    assert list(tmp_path.iterdir()) == []


class Handed(Sequence[Photo]):
    """Photos that know how many of them were taken, and say when so many are."""

    def __init__(self, photos: Sequence[Photo], many: int) -> None:
        self._photos, self._many = photos, many
        self.taken, self.enough = 0, threading.Event()

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, place: int) -> Photo:  # pyright: ignore[reportIncompatibleMethodOverride]
        photo = self._photos[place]
        self.taken += 1
        if self.taken == self._many:
            self.enough.set()
        return photo


def test_few_photos_are_queued_however_many_there_are(lake: MemoryStore, ingestion: Ingestion):
    most = WORKERS + WAITING
    photos = Handed(ingestion.manifest.photos[:20] * 10, most)
    queued: list[int] = []
    lock = threading.Lock()

    class Slow(MemoryStore):
        """Answers nothing before as many photos as possible are queued."""

        def get(self, key: str) -> bytes:
            assert photos.enough.wait(60)
            with lock:
                queued.append(photos.taken - len(queued))
            return lake.get(key)

    load_pixels(Slow(), photos, ingestion.manifest.labels, 8, check=lambda: None)
    assert len(queued) == len(photos)
    assert max(queued) <= most
