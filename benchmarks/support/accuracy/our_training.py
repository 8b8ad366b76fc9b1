"""Our jobs as an instance runs them, from photos in a data lake to the figures of the exported model."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.support.accuracy.trials import Outcome
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from training.dataset.ingest import ingest
from training.dataset.manifest import Manifest, Photo, Split, load_manifest, store_manifest
from training.errors import TrainingError
from training.fitting.batches import derive
from training.fitting.pixels import LabelledPixels, load_pixels
from training.hyper_parameters import HyperParameters
from training.job import JobSpec, initial_weights_key
from training.jobs.run import run_job
from training.plan import Checks, EvaluationPlan

_ASKER = "arn:aws:iam::000000000000:user/benchmark"
_TIMEOUT_SECONDS = 24 * 3600
_EVALUATION = EvaluationPlan(checks=Checks(photos=2, calls=2))  # what is not measured here must cost next to nothing


@dataclass(frozen=True, kw_only=True)
class Lake:
    """Photos of one folder, split by a seed, in memory."""

    store: MemoryStore
    dataset: str  # hash of the manifest

    @property
    def manifest(self) -> Manifest:
        """All photos."""
        return load_manifest(self.store, self.dataset)

    def with_few(self, count: int, seed: int) -> "Lake":
        """The same, of which only `count` photos, chosen by `seed`, are there to learn from."""
        manifest = self.manifest
        learn = sorted(manifest.part(Split.TRAIN), key=lambda photo: derive(seed, "few", photo.sha256))
        left_out = set(learn[count:])
        kept = Manifest.of(photo for photo in manifest.photos if photo not in left_out)
        return replace(self, dataset=store_manifest(self.store, kept))

    def pixels(self, photos: Sequence[Photo], size: int) -> LabelledPixels:
        """Decode some."""
        return load_pixels(self.store, photos, self.manifest.labels, size, check=lambda: None)


def fill_lake(photos: Path, seed: int) -> Lake:
    """Ingest a folder."""
    store = MemoryStore()
    return Lake(store=store, dataset=ingest(photos, store, seed=seed).sha256)


def run_ours(
    lake: Lake, parameters: HyperParameters, seed: int, directory: Path, *, weights: Path | None = None
) -> Outcome:
    """Run a job; its files stay in `directory`, and it begins with `weights` as if given by `petpark train --weights`.

    Processor time is of the whole job: decoding, training, export and evaluation.
    """
    workspace, begin = MemoryStore(), None
    if weights is not None:
        begin = hashlib.sha256(weights.read_bytes()).hexdigest()
        workspace.create(initial_weights_key("job"), weights.read_bytes())
    spec = JobSpec(
        dataset=lake.dataset,
        seed=seed,
        requested_by=_ASKER,
        hyper_parameters=parameters,
        initial_weights=begin,
        max_seconds=_TIMEOUT_SECONDS,
        evaluation=_EVALUATION,
    )
    started = time.process_time()
    result = run_job(
        "job", spec, workspace=workspace, lake=lake.store, catalog=Catalog(MemoryStore(), "pets"), directory=directory
    )
    if result.status != "succeeded":
        raise TrainingError(f"a training failed by {result.error}: {result.message}")
    counts = json.loads((directory / "confusion.json").read_text())["counts"]
    return Outcome(confusion=tuple(tuple(row) for row in counts), cpu_seconds=time.process_time() - started)
