"""Photos from anywhere become a dataset in the data lake.

Reading, decoding and sending happen side by side with a bounded number of photos in memory. What grows with the dataset
is a row for each photo: of the index, of the manifest, of what the lake has.
"""

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from imaging import PhotoError, PhotoMeasures, captured_at, measure
from imaging.measuring import Measurer, MeasuringFailed
from registry.encoding import sha256_hex
from registry.errors import ObjectExists, RegistryError, StoreUnavailable
from registry.layout.data_lake import photo_key
from registry.store.object_store import ObjectStore
from training.dataset.changes import Decision, Ruling
from training.dataset.fitness import Quality, assess, refuse_unfit
from training.dataset.index import Index, Row
from training.dataset.labels import clean_label
from training.dataset.manifest import Manifest, Photo, store_manifest
from training.dataset.sources import Candidate, FolderSource, SkippedFile, Source, Unreadable
from training.dataset.splits.split import SplitBy, split_of
from training.dataset.splits.split_assignment import place
from training.dataset.stored_photos import EarlierPhotos, StoredPhotos
from training.errors import DatasetRefused

WORKERS: Final = 32
"""Threads that read and check photos. They mostly wait for a bucket or for a process that decodes."""

_AHEAD: Final = 2 * WORKERS
_PHOTO_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp")
_NOT_IN_INDEX: Final = "not in the index"

type Skipped = tuple[str, str]
"""The key of a file that is not in the dataset, and why."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """An earlier dataset, which a new one continues from."""

    manifest: Manifest
    decisions: Mapping[str, Decision] = field(default_factory=dict[str, Decision])
    """Earlier decisions of people about photos, by hash; they remain valid."""


@dataclass(frozen=True, kw_only=True)
class Ingestion:
    """What became of a source."""

    manifest: Manifest
    sha256: str
    added: int  # photos that the data lake did not have
    skipped: tuple[Skipped, ...]
    quality: Quality


def ingest(
    directory: Path, store: ObjectStore, *, seed: int, progress: Callable[[int, int], None] | None = None
) -> Ingestion:
    """Ingest the photos in `directory/<class>/**`; see `ingest_from`."""
    return ingest_from(FolderSource(directory), store, seed=seed, progress=progress)


def ingest_from(
    source: Source,
    store: ObjectStore,
    *,
    seed: int,
    index: Index | None = None,
    split_by: SplitBy = SplitBy.CAMERA,
    base: Base | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Ingestion:
    """Check, measure, split and store the photos of `source`, then the manifest that names them.

    A photo's label is its folder's name, or what `index` says. One that cannot be used is skipped, not fatal,
    and so is one that the index does not know, or only the index knows. Of photos with the same bytes the first by name
    is kept, unless their labels contradict each other: then none is. A photo that the data lake has is not sent again,
    so that an ingestion that was cut off is simply repeated. `base` keeps its photos in their splits.

    `progress(done, of)` is called for every file, with 0 if their number is unknown. Raises DatasetRefused.
    """
    clerk = _Ingestor(store, seed=seed, index=index, base=base)
    photos: list[Photo] = []
    skipped: list[Skipped] = []
    names: set[str] = set()
    total = (source.count() or 0) if progress else 0
    done = itertools.count(1)
    step = (lambda: progress(next(done), total)) if progress else (lambda: None)
    for key, outcome in clerk.examine_all(source, step):
        if key in names:
            skipped.append((key, "another file of this name came before"))
        elif isinstance(outcome, Photo):
            photos.append(outcome)
        elif outcome:
            skipped.append((key, outcome))
        names.add(key)

    if index is not None:
        skipped += [(key, reason) for key, reason in index.refused.items() if key not in names]
        skipped += [(key, "in the index, but there is no such file") for key in index.rows if key not in names]
    unique, duplicates = _without_duplicates(sorted(photos, key=lambda photo: photo.key))
    placed = place(unique, seed=seed, by=split_by, base=base.manifest.photos if base else ())
    manifest = Manifest.of(placed.photos)
    skipped = sorted(skipped + duplicates + [(photo.key, reason) for photo, reason in placed.excluded])
    refuse_unfit(manifest, skipped)
    return Ingestion(
        manifest=manifest,
        sha256=store_manifest(store, manifest),
        added=clerk.sent,
        skipped=tuple(skipped),
        quality=assess(manifest, skipped),
    )


def describe(
    key: str, data: bytes, *, seed: int, row: Row, measure: Callable[[bytes], PhotoMeasures] = measure
) -> Photo:
    """Describe one photo by its key and bytes, in the split that it has for itself; PhotoError."""
    measures = measure(data)
    sha256 = sha256_hex(data)
    group = row.camera or sha256
    return Photo(
        key=key,
        sha256=sha256,
        width=measures.width,
        height=measures.height,
        label=row.label,
        split=split_of(seed, group),
        group=group,
        captured_at=row.captured_at or measures.captured_at,
        perceptual_hash=f"{measures.perceptual_hash:016x}",
        brightness=measures.brightness,
        sharpness=measures.sharpness,
        groups=row.groups,
    )


@dataclass(frozen=True, kw_only=True)
class _Examined:
    """The result of examining one file, before it is uploaded."""

    key: str
    found: Photo | str
    sha256: str = ""
    data: bytes | None = None
    """The bytes of a photo that the lake lacks."""


class _Ingestor:
    """Examines candidates and sends what the lake lacks, many at a time."""

    def __init__(self, store: ObjectStore, *, seed: int, index: Index | None, base: Base | None) -> None:
        self._store = store
        self._seed = seed
        self._index = index
        self._decisions: Mapping[str, Decision] = base.decisions if base else {}
        self._known = {photo.sha256: photo for photo in base.manifest.photos} if base else {}
        self._stored = StoredPhotos(store)
        self._earlier = EarlierPhotos(store)
        self._measurer = Measurer()
        self._sent: set[str] = set()

    @property
    def sent(self) -> int:
        """How many photos the lake did not have."""
        return len(self._sent)

    def examine_all(self, source: Source, progress: Callable[[], None]) -> Iterator[tuple[str, Photo | str]]:
        """Returns each file's photo, or why it is not one (nothing for files that are skipped silently), in order.

        What the lake lacked was sent. `progress` is called for each. An error that is not about one file ends it, with
        nothing under way.
        """
        found: deque[_Examined] = deque()

        def new_photos() -> Iterator[tuple[str, bytes]]:
            for each in self._examined(source):
                progress()
                found.append(each)
                if each.data is not None:
                    yield photo_key(each.sha256), each.data

        with closing(self._store.create_each(new_photos())) as outcomes:
            for outcome in outcomes:
                while (each := found.popleft()).data is None:
                    yield each.key, each.found
                self._check_sent(each.sha256, outcome)
                yield each.key, each.found
        yield from ((each.key, each.found) for each in found)

    def _examined(self, source: Source) -> Iterator["_Examined"]:
        with self._measurer, ThreadPoolExecutor(WORKERS) as pool:
            under_way: deque[Future[_Examined]] = deque()
            try:
                for found in source:
                    under_way.append(pool.submit(self._examine, found))
                    if len(under_way) > _AHEAD:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:
                for future in under_way:
                    future.cancel()

    def _examine(self, found: Candidate | SkippedFile) -> "_Examined":
        if isinstance(found, SkippedFile):
            return _Examined(key=found.key, found=found.reason)
        row = self._row(found.key)
        if not isinstance(row, Row):
            return _Examined(key=found.key, found=row)
        try:
            data = found.read()
            sha256 = sha256_hex(data)
            stored = self._stored.has(sha256)
            photo = self._describe(found.key, data, row, sha256, stored=stored)
        except (PhotoError, Unreadable) as error:
            return _Examined(key=found.key, found=str(error))
        except MeasuringFailed as error:
            raise DatasetRefused(
                f"{error}; then ingest the photos again: uploaded photos are not uploaded twice"
            ) from error
        if stored or not isinstance(photo, Photo):
            return _Examined(key=found.key, found=photo)
        return _Examined(key=found.key, found=photo, sha256=sha256, data=data)

    def _row(self, key: str) -> Row | str:
        """A file's label and further columns, or why it is skipped."""
        if self._index is not None:
            return self._index.rows.get(key) or self._index.refused.get(key) or self._unlisted(key)
        label, _, rest = key.partition("/")
        if not rest:
            return "not in a class folder" if key.lower().endswith(_PHOTO_SUFFIXES) else ""
        try:
            return Row(label=clean_label(label), camera=None, captured_at=None)
        except ValueError as error:
            return f"{error}; rename the folder"

    def _unlisted(self, key: str) -> str:
        return _NOT_IN_INDEX if key.lower().endswith(_PHOTO_SUFFIXES) else ""

    def _describe(self, key: str, data: bytes, row: Row, sha256: str, *, stored: bool) -> Photo | str:
        decision = self._decisions.get(sha256)
        if decision is not None and decision.label == row.label:  # the source's label is unchanged since the decision
            if decision.ruling is Ruling.EXCLUDE:
                return f"excluded by {decision.by}: {decision.why}"
            row = replace(row, label=decision.becomes)
        if known := self._known.get(sha256):  # the same bytes have the same measures: no need to decode them
            return replace(
                known,
                key=key,
                label=row.label,
                group=row.camera or known.group,
                captured_at=row.captured_at or known.captured_at,
                groups=row.groups or known.groups,
            )
        if stored and (earlier := self._earlier.get(sha256)):  # nor here, but this dataset does not go on from that
            return replace(
                earlier,
                key=key,
                label=row.label,
                split=split_of(self._seed, row.camera or sha256),
                group=row.camera or sha256,
                captured_at=row.captured_at or (earlier.captured_at and captured_at(data)),
                groups=row.groups,
            )
        return describe(key, data, seed=self._seed, row=row, measure=self._measurer.measure)

    def _check_sent(self, sha256: str, outcome: RegistryError | None) -> None:
        """Check that the lake has a photo after its creation ended with `outcome`; else raise that error."""
        there = outcome is None or isinstance(outcome, ObjectExists)  # the same bytes, for the key is their hash
        lost = isinstance(outcome, StoreUnavailable)
        if outcome is not None and not there and not (lost and self._store.stat(photo_key(sha256)) is not None):
            raise outcome
        self._sent.add(sha256)


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
