"""The whole report: photos read, networks trained, everything that is found shown."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial

import numpy as np
import numpy.typing as npt

from imaging import PhotoError, decode
from registry.store.object_store import ObjectStore
from training.dataset.manifest import Manifest
from training.errors import PhotoLost
from training.evaluation.reporting.error_gallery import SIDE, data_uri
from training.fitting.pixels import WORKERS, LabelledPixels, fetch, load_pixels, stream_pixels, targets_of
from training.plan import DataGates
from training.quality.characteristics.accuracy import accuracy
from training.quality.characteristics.appearance import Appearance
from training.quality.characteristics.completeness import completeness
from training.quality.characteristics.relevance import relevance
from training.quality.characteristics.reliability import reliability
from training.quality.characteristics.similarity import alike_across_splits
from training.quality.characteristics.timeliness import timeliness
from training.quality.cross_validation import FOLDS, SIZE, learn, unit
from training.quality.embedding_networks import EmbeddingNetwork, embed_photos, judge_labels
from training.quality.page import shown_of
from training.quality.report import QualityReport, compose

type Progress = Callable[[str, int, int], None]
"""What is being done, how far it is, and of how many."""

type Numbers = npt.NDArray[np.float32]

_BATCH = 1024
"""Photos per batch: 7 MB of pixels."""


def examine(
    lake: ObjectStore,
    manifest: Manifest,
    *,
    skipped: Sequence[tuple[str, str]] | None,
    gates: DataGates,
    by: str,
    at: datetime,
    labels: bool = True,
    network: EmbeddingNetwork | None = None,
    seed: int = 0,
    shown: int | None = None,
    progress: Progress = lambda _what, _done, _of: None,
) -> QualityReport:
    """Report on a dataset, as of `at`; PhotoLost, OutOfMemory.

    Without `labels`, no label is checked, no network is trained, and photos are compared by embedding only with a
    `network`. With an impartial one, only linear layers are trained. `shown` limits how many photos each small network
    sees. Pixels are kept in memory only for small networks, 7 KB per photo.
    """
    photos, classes = manifest.photos, len(manifest.labels)
    keep = labels and not (network and network.impartial)
    data, appearance = _read(lake, manifest, progress, keep=keep, compare=labels or network is not None)
    probabilities = embeddings = raw = None
    if network is not None:
        raw = embed_photos(lake, photos, network, partial(progress, f"Embedding photos with {network.name}"))
        embeddings = unit(raw)
    if labels and raw is not None and data is None:
        targets, judging = targets_of(photos, manifest.labels).numpy(), partial(progress, "Judging labels")
        probabilities = judge_labels(raw, targets, photos, classes=classes, progress=judging)
    elif data is not None:
        training = partial(progress, "Training small networks")
        training(0, FOLDS)
        found = learn(data, classes=classes, seed=seed, shown=shown, progress=training)
        probabilities = found.probabilities
        embeddings = found.embeddings if embeddings is None else embeddings
    small = appearance.small
    leaks = None if embeddings is None or small is None else alike_across_splits(photos, embeddings, small)
    return compose(
        manifest,
        (
            accuracy(photos, manifest.labels, probabilities),
            completeness(manifest),
            reliability(photos, skipped=skipped, leaks=leaks),
            relevance(photos, appearance=appearance, embeddings=embeddings),
            timeliness(manifest, as_of=at),
        ),
        gates=gates,
        by=by,
        at=at,
        source=network.name if network else f"{FOLDS} small networks" if labels else "",
    )


def _read(
    lake: ObjectStore, manifest: Manifest, progress: Progress, *, keep: bool, compare: bool
) -> tuple[LabelledPixels | None, Appearance]:
    """Read all photos once. Returns their pixels, to `keep` for small networks, and their appearance.

    With `compare`, the appearance has what copies are found by.
    """
    photos = manifest.photos
    read = _Counter(progress, "Reading photos", len(photos))
    data = None
    if keep:
        data = load_pixels(lake, photos, manifest.labels, SIZE, check=read.step)
        batches = iter(data.pixels.split(_BATCH))
    else:
        batches = stream_pixels(lake, photos, SIZE, batch=_BATCH, check=read.step)
    return data, Appearance.of((pixels.numpy() for pixels in batches), small=compare)


def pictures(lake: ObjectStore, manifest: Manifest, report: QualityReport) -> dict[str, str]:
    """Returns thumbnails of the photos that a page shows, by hash, as data URIs, except unreadable ones."""
    photos = {photo.sha256: photo for photo in manifest.photos}
    wanted: set[str] = set()
    for finding in (each for part in report.characteristics for each in part.findings):
        for concern in shown_of(finding):
            wanted |= {concern.sha256} | ({concern.beside[1]} if concern.beside else set())

    def picture(sha256: str) -> tuple[str, str]:
        try:
            return sha256, data_uri(decode(fetch(lake, photos[sha256]), SIDE))
        except (PhotoError, PhotoLost):
            return sha256, ""

    with ThreadPoolExecutor(WORKERS) as pool:
        return {sha256: uri for sha256, uri in pool.map(picture, sorted(wanted)) if uri}


class _Counter:
    """Counts what several threads do."""

    def __init__(self, progress: Progress, what: str, of: int) -> None:
        self._progress, self._what, self._of = progress, what, of
        self._lock, self._done = threading.Lock(), 0

    def step(self) -> None:
        with self._lock:
            self._done += 1
            self._progress(self._what, self._done, self._of)
