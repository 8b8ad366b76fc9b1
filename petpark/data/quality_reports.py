"""Quality reports of datasets, stored next to them in the data lake."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from petpark.errors import QualityRefused, TorchMissing
from petpark.files import write_file
from petpark.targets.target import Target
from registry.clock import Clock, utc_now
from registry.layout.data_lake import quality_key
from registry.layout.roles import Role

if TYPE_CHECKING:
    from registry.store.object_store import ObjectStore
    from training.dataset import Ingestion
    from training.plan import DataGates
    from training.quality.embedding_networks import EmbeddingNetwork
    from training.quality.report import QualityReport

_NAMED = 3

type Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class StoredReport:
    """A report that was made and stored."""

    report: QualityReport
    number: int
    page: str  # HTML
    key: str  # of the page in the data lake


def report(
    target: Target,
    dataset: str,
    *,
    gates: DataGates,
    labels: bool = True,
    model: int | None = None,
    shown: int | None = None,
    progress: Progress = lambda _what, _done, _of: None,
    clock: Clock = utc_now,
) -> StoredReport:
    """Make a dataset's quality report as the publisher, and store it; a dataset that fails a gate is not an error here.

    Without `labels` nothing is learned. `model` is a version whose embeddings compare photos. Without it the network
    that learned ImageNet does, and judges labels, where its package is installed; else small networks are trained for
    that, each of which is shown so many photos at most as `shown` says.

    Raises `TorchMissing`, training's `DatasetMissing`, `PhotoLost`.
    """
    if importlib.util.find_spec("torch") is None:
        raise TorchMissing("PyTorch, which reads and compares photos, is not installed here.", next_step="make setup")
    from training.dataset import load_manifest
    from training.quality.examine import examine, pictures
    from training.quality.page import render
    from training.quality.stored import recorded_skipped, store

    lake = _lake(target)
    manifest = load_manifest(lake, dataset.removeprefix("sha256:"))
    with tempfile.TemporaryDirectory() as directory:
        found = examine(
            lake,
            manifest,
            skipped=recorded_skipped(lake, manifest.sha256),
            gates=gates,
            by=target.identity(role=Role.PUBLISHER),
            at=clock(),
            labels=labels,
            network=_of_imagenet(labels=labels) if model is None else _of_version(target, model, Path(directory)),
            shown=shown,
            progress=progress,
        )
    page = render(found, pictures(lake, manifest, found))
    number = store(lake, found, page)
    return StoredReport(report=found, number=number, page=page, key=quality_key(manifest.sha256, number, "html"))


def glance(
    target: Target,
    ingestion: Ingestion,
    *,
    gates: DataGates,
    clock: Clock = utc_now,
) -> QualityReport:
    """The quality of a dataset as far as its manifest shows it; nothing is read, trained or stored."""
    from training.quality.report import glance

    return glance(
        ingestion.manifest,
        skipped=ingestion.skipped,
        gates=gates,
        by=target.identity(role=Role.PUBLISHER),
        at=clock(),
    )


def write_page(made: StoredReport, path: Path) -> Path:
    """Write the page to a file, replacing it. Raises `FileInTheWay` if it cannot be written."""
    write_file(made.page, path, next_step="Name another: --out FILE")
    return path


def require(made: StoredReport, *, where: str) -> None:
    """Raise `QualityRefused` if the dataset fails a gate, with the first photos and the commands that fix it."""
    from training.quality.report import remedies

    found = made.report
    if not found.failed:
        return
    blamed = found.blamed()
    keys = [concern.key for finding in blamed for concern in finding.photos]
    commands = [command for finding in blamed for command in remedies(found.dataset, finding)]
    gates = "; ".join(f"{gate.asked}, found {gate.found} ({gate.name})" for gate in found.failed)
    photos = f" First photos: {', '.join(keys[:_NAMED])}." if keys else ""
    raise QualityRefused(
        f"dataset {found.dataset[:12]} fails {gates}.{photos} See them all: {where}",
        next_step="\n  ".join(["look at the photos, then", *commands])
        if commands
        else "Add what is missing (petpark data ingest --base), or set another limit (--gate name=value).",
        dataset=found.dataset,
        report=made.number,
        page=made.key,
        failed=[gate.name for gate in found.failed],
        photos=keys[: 10 * _NAMED],
        commands=commands,
    )


def _of_version(target: Target, number: int, directory: Path) -> EmbeddingNetwork:
    from registry.versions.catalog import Catalog
    from training.networks.export import ExportedModel
    from training.quality.embedding_networks import published

    catalog = Catalog(target.store(target.outputs.model_store, role=Role.READER), target.outputs.model)
    files = catalog.fetch(catalog.version(number), directory)
    return published(f"version {number}", ExportedModel(files["model.onnx"]))


def _of_imagenet(*, labels: bool) -> EmbeddingNetwork | None:
    from training.quality.embedding_networks import of_imagenet

    return of_imagenet() if labels else None


def _lake(target: Target) -> ObjectStore:
    return target.store(target.outputs.data_lake, role=Role.PUBLISHER)
