"""A trial's job: what it leaves behind, what it does not look at, and that its winner is trained to the same bits."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import override

import pytest

from registry.layout.data_lake import photo_key
from registry.layout.jobs import checkpoints_prefix, epochs_prefix, validation_key
from registry.layout.workspace import study_weights_key
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from tests.training.conftest import Built
from training.dataset.manifest import Split
from training.fitting.checkpoint import Checkpoints
from training.job import EpochRecord, JobResult
from training.jobs.run import run_job
from training.search.choice import Answers

JOB = "study-000001"


class Watched(MemoryStore):
    """Remembers what was requested."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self._behind, self.asked = store, set[str]()

    @override
    def get(self, key: str) -> bytes:
        self.asked.add(key)
        return self._behind.get(key)

    @override
    def keys(self, prefix: str, *, after: str = "") -> Iterator[str]:
        return self._behind.keys(prefix, after=after)


@pytest.fixture(scope="module")
def tried(built: Built, tmp_path_factory: pytest.TempPathFactory) -> tuple[JobResult, MemoryStore, set[str], Catalog]:
    """The trial of the very settings that `built` published."""
    workspace, catalog, lake = MemoryStore(), Catalog(MemoryStore(), "pets"), Watched(built.lake)
    result = run_job(
        JOB,
        replace(built.spec, study="study"),
        workspace=workspace,
        lake=lake,
        catalog=catalog,
        directory=tmp_path_factory.mktemp("trial"),
    )
    return result, workspace, lake.asked, catalog


def test_a_trial_publishes_nothing_and_never_sees_a_test_photo(
    built: Built, tried: tuple[JobResult, MemoryStore, set[str], Catalog]
) -> None:
    result, _, photos_read, catalog = tried
    assert (result.status, result.version, result.digest) == ("succeeded", None, None)
    assert catalog.latest() is None
    manifest = built.ingestion.manifest
    parts = {split: {photo_key(photo.sha256) for photo in manifest.part(split)} for split in Split}
    assert parts[Split.VALIDATION] <= photos_read
    assert not parts[Split.TEST] & photos_read


def test_a_trials_figures_are_of_the_validation_photos(
    built: Built, tried: tuple[JobResult, MemoryStore, set[str], Catalog]
) -> None:
    result, workspace, _, _ = tried
    answers = Answers.from_json(workspace.get(validation_key(JOB)))
    validation = built.ingestion.manifest.part(Split.VALIDATION)
    assert [answers.labels[place] for place in answers.truth] == [photo.label for photo in validation]
    assert result.metrics == answers.metrics()
    last = EpochRecord.from_json(list(map(workspace.get, workspace.keys(epochs_prefix(JOB))))[-1])
    assert result.metrics["accuracy"] == pytest.approx(last.accuracy, abs=1e-5)


def test_the_winner_trained_again_has_the_trials_weights(
    built: Built, tried: tuple[JobResult, MemoryStore, set[str], Catalog]
) -> None:
    _, workspace, _, _ = tried
    ours, theirs = Checkpoints(workspace, JOB).last(), Checkpoints(built.workspace, "job-1").last()
    assert list(workspace.keys(checkpoints_prefix(JOB)))
    assert ours is not None
    assert theirs is not None
    assert all(bool((ours["averaged"][name] == theirs["averaged"][name]).all()) for name in theirs["averaged"])


def test_trials_start_from_weights_that_were_handed_in_with_their_study(built: Built, tmp_path: Path) -> None:
    weights = built.directory / "weights.pt"
    (sha256,) = (file.sha256 for file in built.catalog.version(1).files if file.name == "weights.pt")
    workspace = MemoryStore()
    workspace.create_from(study_weights_key("study"), weights)
    parameters = replace(built.spec.hyper_parameters, epochs=1, learning_rate=1e-9)
    spec = replace(built.spec, study="study", initial_weights=sha256, hyper_parameters=parameters)
    catalog = Catalog(MemoryStore(), "pets")
    result = run_job(JOB, spec, workspace=workspace, lake=built.lake, catalog=catalog, directory=tmp_path)
    assert result.metrics["accuracy"] > 0.9, "it has not forgotten what it knew"
