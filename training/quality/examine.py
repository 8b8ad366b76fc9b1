"""The whole report: photos read, networks trained, everything that is found shown."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import numpy as np
import numpy.typing as npt

from imaging import PhotoError, decode
from registry.store.object_store import ObjectStore
from training.dataset.manifest import Manifest
from training.errors import PhotoLost
from training.evaluation.reporting.error_gallery import SIDE, data_uri
from training.fitting.pixels import WORKERS, fetch, load_pixels
from training.plan import DataGates
from training.quality.characteristics.accuracy import accuracy
from training.quality.characteristics.completeness import completeness
from training.quality.characteristics.relevance import relevance
from training.quality.characteristics.reliability import reliability
from training.quality.characteristics.similarity import alike_across_splits
from training.quality.characteristics.timeliness import timeliness
from training.quality.cross_validation import FOLDS, SIZE, learn, unit
from training.quality.embedding_networks import EmbeddingNetwork, judge_labels, see
from training.quality.page import shown_of
from training.quality.report import QualityReport, compose

type Progress = Callable[[str, int, int], None]
"""What is being done, how far it is, and of how many."""

type Numbers = npt.NDArray[np.float32]


def examine(
    lake: ObjectStore,
    manifest: Manifest,
    *,
    skipped: Sequence[tuple[str, str]] | None,
    gates: DataGates,
    by: str,
    at: datetime,
    labels: bool = True,
    eye: EmbeddingNetwork | None = None,
    seed: int = 0,
    shown: int | None = None,
    progress: Progress = lambda _what, _done, _of: None,
) -> QualityReport:
    """Report on a dataset, as of `at`; PhotoLost, OutOfMemory.

    Without `labels` no label is doubted and no network trained, and only an `eye` compares photos by embedding. With
    an impartial one nothing but linear layers is trained. `shown` bounds how many photos each small network sees.
    """
    photos = manifest.photos
    read = _Counter(progress, "Reading photos", len(photos))
    data = load_pixels(lake, photos, manifest.labels, SIZE, check=read.step)
    pixels = data.pixels.numpy()
    probabilities = embeddings = None
    raw = None
    if eye is not None:
        raw = see(lake, photos, eye, lambda done, of: progress(f"Looking by {eye.name}", done, of))
        embeddings = unit(raw)
    if labels and raw is not None and eye is not None and eye.impartial:
        probabilities = judge_labels(
            raw,
            data.targets.numpy(),
            photos,
            classes=len(manifest.labels),
            progress=lambda done, of: progress("Judging labels", done, of),
        )
    elif labels:
        progress("Training small networks", 0, FOLDS)
        found = learn(
            data,
            classes=len(manifest.labels),
            seed=seed,
            shown=shown,
            progress=lambda done, of: progress("Training small networks", done, of),
        )
        probabilities = found.probabilities
        embeddings = found.embeddings if embeddings is None else embeddings
    leaks = None if embeddings is None else alike_across_splits(photos, embeddings, pixels)
    return compose(
        manifest,
        (
            accuracy(photos, manifest.labels, probabilities),
            completeness(manifest),
            reliability(photos, skipped=skipped, leaks=leaks),
            relevance(photos, pixels=pixels, embeddings=embeddings),
            timeliness(manifest, as_of=at),
        ),
        gates=gates,
        by=by,
        at=at,
        source=eye.name if eye else f"{FOLDS} small networks" if labels else "",
    )


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
