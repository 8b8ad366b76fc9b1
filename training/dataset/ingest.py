"""A folder of photos becomes a dataset in the data lake."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from imaging import PhotoError, measure
from registry.encoding import sha256_hex
from registry.errors import ObjectExists
from registry.layout import PHOTOS, photo_key
from registry.object_store import ObjectStore
from training.dataset.manifest import Manifest, Photo, store_manifest
from training.dataset.quality import Quality, assess, refuse_unfit
from training.dataset.split import split_of
from training.errors import DatasetRefused

WORKERS: Final = 16
"""Threads that read, check and send photos; most of the time they wait for the data lake."""

_PHOTO_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp"})

type Skipped = tuple[str, str]
"""The key of a file that is not in the dataset, and why."""


@dataclass(frozen=True, kw_only=True)
class Ingestion:
    """What became of a folder."""

    manifest: Manifest
    sha256: str
    added: int  # photos that the data lake did not have
    skipped: tuple[Skipped, ...]
    quality: Quality


def ingest(
    directory: Path, store: ObjectStore, *, seed: int, progress: Callable[[int, int], None] | None = None
) -> Ingestion:
    """Check, measure, split and store the photos in `directory/<class>/**`, then the manifest that names them.

    An unreadable photo is skipped, not fatal. Of photos with the same bytes the first is kept, unless their labels
    contradict each other: then none is. A photo that the data lake has is not sent again, so that an ingestion that was
    cut off is simply repeated. `progress(done, of)` is called for every file. Raises DatasetRefused.
    """
    found, misplaced = find_photos(directory)
    stored = {key.rsplit("/", 1)[-1] for key in store.keys(PHOTOS)}
    photos: list[Photo] = []
    skipped = misplaced
    sent: set[str] = set()

    def examine(key: str) -> Photo:
        data = (directory / key).read_bytes()
        photo = describe(key, data, seed=seed)
        if photo.sha256 not in stored:
            _send(store, photo.sha256, data)
            sent.add(photo.sha256)
        return photo

    for done, (key, future) in enumerate(_in_order(examine, found), start=1):
        try:
            photos.append(future.result())
        except (PhotoError, OSError) as error:
            skipped.append((key, str(error)))
        if progress:
            progress(done, len(found))

    unique, duplicates = _without_duplicates(photos)
    manifest = Manifest.of(unique)
    skipped = sorted(skipped + duplicates)
    refuse_unfit(manifest, skipped)
    return Ingestion(
        manifest=manifest,
        sha256=store_manifest(store, manifest),
        added=len(sent),
        skipped=tuple(skipped),
        quality=assess(manifest, skipped),
    )


def find_photos(directory: Path) -> tuple[list[str], list[Skipped]]:
    """Find the files in class subfolders, and the photos that lie beside them; hidden files are left alone."""
    if not directory.is_dir():
        raise DatasetRefused(f"{directory} is no folder; give a folder with one subfolder of photos for each class")
    found: list[str] = []
    misplaced: list[Skipped] = []
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if any(part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        if len(relative.parts) > 1:
            found.append(relative.as_posix())
        elif path.suffix.lower() in _PHOTO_SUFFIXES:
            misplaced.append((relative.as_posix(), "not in a class folder"))
    return found, misplaced


def describe(key: str, data: bytes, *, seed: int) -> Photo:
    """Describe one photo by its key and bytes; PhotoError."""
    measures = measure(data)
    sha256 = sha256_hex(data)
    return Photo(
        key=key,
        sha256=sha256,
        width=measures.width,
        height=measures.height,
        label=key.split("/", 1)[0],
        split=split_of(seed, sha256),
        group=sha256,
        captured_at=measures.captured_at,
        perceptual_hash=f"{measures.perceptual_hash:016x}",
        brightness=measures.brightness,
        sharpness=measures.sharpness,
    )


def _in_order(work: Callable[[str], Photo], keys: Sequence[str]) -> Iterator[tuple[str, Future[Photo]]]:
    """Work on keys in parallel, giving results in order, with a bounded number under way."""
    with ThreadPoolExecutor(WORKERS) as pool:
        waiting = iter(keys)
        under_way = [(key, pool.submit(work, key)) for key in islice(waiting, WORKERS * 4)]
        try:
            while under_way:
                yield under_way.pop(0)
                under_way += [(key, pool.submit(work, key)) for key in islice(waiting, 1)]
        finally:
            for _, future in under_way:
                future.cancel()


def _send(store: ObjectStore, sha256: str, data: bytes) -> None:
    with suppress(ObjectExists):  # the same bytes, for the key is their hash
        store.create(photo_key(sha256), data)


def _without_duplicates(photos: Sequence[Photo]) -> tuple[list[Photo], list[Skipped]]:
    same: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        same[photo.sha256].append(photo)
    kept: list[Photo] = []
    skipped: list[Skipped] = []
    for copies in same.values():
        if len({photo.label for photo in copies}) > 1:
            others = " and ".join(photo.key for photo in copies)
            skipped += [(photo.key, f"labels contradict: {others} have the same bytes") for photo in copies]
        else:
            kept.append(copies[0])
            skipped += [(photo.key, f"same bytes as {copies[0].key}") for photo in copies[1:]]
    return kept, skipped
