"""A whole job: what it leaves behind, how it fails, and how it goes on after an interruption."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version as installed
from pathlib import Path

import numpy as np
import pytest
import torch

from imaging import decode, input_statistics
from registry.channels.channel import Channel
from registry.gates import State, failed, states
from registry.layout.data_lake import photo_key
from registry.layout.jobs import checkpoints_prefix, epoch_key, epochs_prefix
from registry.store.memory_store import MemoryStore
from registry.versions.catalog import Catalog
from registry.versions.decision import Decision
from registry.versions.reference import Reference
from tests.training.conftest import REQUESTER, TINY, Built
from training.dataset.ingest import Ingestion
from training.dataset.manifest import Manifest, Split, store_manifest
from training.errors import Interrupted, SpecMalformed
from training.evaluation.gates import TO_MEASURE
from training.fitting.pixels import load_pixels
from training.job import EpochRecord, JobResult, JobSpec, find_result, initial_weights_key
from training.jobs.run import run_job
from training.networks.export import ExportedModel
from training.plan import Checks, EvaluationPlan, Gates


def attempt(spec: JobSpec, lake: MemoryStore, directory: Path, workspace: MemoryStore | None = None) -> JobResult:
    """Run a job that is expected to end before it publishes."""
    catalog = Catalog(MemoryStore(), "pets")
    workspace = workspace or MemoryStore()
    result = run_job("job", spec, workspace=workspace, lake=lake, catalog=catalog, directory=directory)
    assert catalog.latest() is None
    assert find_result(workspace, "job") == result
    return result


def test_a_job_publishes_a_version_that_knows_where_it_comes_from(built: Built):
    version = built.catalog.version(1)
    assert built.result == replace(
        find_result(built.workspace, "job-1") or built.result, status="succeeded", version=1, digest=version.digest
    )
    assert version.labels == ("cat", "dog")
    assert version.lineage["run"] == "job-1"
    assert version.lineage["dataset"] == built.ingestion.sha256
    assert version.lineage["code"] == "c" * 64
    assert len(version.lineage["lock"]) == 64
    assert version.lineage["trained_by"] == "arn:aws:iam::000000000000:role/training"
    assert version.lineage["requested_by"] == REQUESTER
    assert built.result.outcome == ("refused" if failed(version.metrics) else "published")
    page = version.file("report.html")
    assert page is not None
    assert built.result.report == f"s3://models/pets/blobs/sha256/{page.sha256}"


def test_a_version_carries_all_that_serving_and_deciding_need(built: Built):
    names = {file.name for file in built.catalog.version(1).files}
    probes = {"probes.json", *(f"probes/{number}.jpg" for number in range(5))}
    assert names == probes | {
        "model.onnx", "weights.pt", "labels.json", "report.html", "metrics.json", "confusion.json", "evaluation.json",
        "model-card.md", "sbom.cdx.json", "reference.npz",
    }  # fmt: skip


def test_a_version_carries_what_it_saw_of_validation_photos_for_monitoring_to_compare_with(built: Built):
    reference = Reference.from_bytes((built.directory / "reference.npz").read_bytes())
    validation = built.ingestion.manifest.part(Split.VALIDATION)
    pixels = load_pixels(built.lake, validation, ("cat", "dog"), TINY.image_size, check=lambda: None)
    exported = ExportedModel(built.directory / "model.onnx")
    strangeness = exported.strangeness(pixels.pixels.numpy())
    assert reference.labels == ("cat", "dog")
    assert reference.truth.tolist() == pixels.targets.tolist()
    assert np.allclose(reference.probabilities, exported.classify(pixels.pixels.numpy()), atol=1e-6)
    assert strangeness is not None
    assert np.allclose(reference.strangeness, strangeness, atol=1e-3)
    brightness = [input_statistics(each, width=1, height=1).brightness for each in pixels.pixels.numpy()]
    assert np.allclose(reference.statistics[:, 0], brightness)
    assert len(reference.worse_truth) == len(validation)
    assert len(set(reference.worse_kind.tolist())) == min(len(reference.kinds), len(validation))
    assert (reference.worse_probabilities != reference.probabilities).any()


def test_a_version_says_what_was_tested_and_which_gates_it_passed(built: Built):
    metrics = built.catalog.version(1).metrics
    assert {"auroc_cat", "f1_dog", "calibration_error", "robustness_drop", "consistency_low"} < metrics.keys()
    assert metrics["gate_accuracy"] == 1
    assert json.loads((built.directory / "metrics.json").read_text()) == metrics
    facts = json.loads((built.directory / "evaluation.json").read_text())
    assert {gate["name"] for gate in facts["gates"]} == {
        name.removeprefix("gate_") for name in metrics if name.startswith("gate_")
    }
    assert facts["threshold"]["label"] == "dog"
    assert facts["decision"] is None
    assert "too few" in facts["calibration"]["temperature"]["kept_because"]
    assert metrics["temperature"] == 1
    assert facts["latency"]["calls"] == built.spec.evaluation.checks.calls
    assert "mcnemar_p" not in metrics


def test_the_environment_travels_as_a_bill_of_materials(built: Built):
    bill = json.loads((built.directory / "sbom.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["name"] == "pets"
    assert f"pkg:pypi/torch@{installed('torch')}" in {part["purl"] for part in bill["components"]}


def test_a_model_that_fails_a_gate_is_published_and_says_so(built: Built, tmp_path: Path):
    """It is also checked against the version in prod, which here is the same model at another size of photos."""
    store, workspace = MemoryStore(), MemoryStore()
    catalog, prod = Catalog(store, "pets"), Channel(store, "pets", "prod")
    before = built.catalog.fetch(built.catalog.version(1), tmp_path / "before")
    prod.move(
        catalog.publish(before, labels=("cat", "dog"), metrics={}, lineage={"dataset": built.spec.dataset}),
        by=REQUESTER,
        why="first",
    )
    checks = Checks(photos=5, calls=1, int8=1, positive="cat", false_positive_cost=4)
    plan = EvaluationPlan(gates=Gates(accuracy=1.0), checks=checks)
    spec = replace(built.spec, evaluation=plan, hyper_parameters=replace(TINY, image_size=24))
    result = run_job(
        "job-2",
        spec,
        workspace=workspace,
        lake=built.lake,
        catalog=catalog,
        directory=tmp_path,
        prod=prod,
    )
    assert (result.status, result.version, result.outcome) == ("succeeded", 2, "refused")
    unmeasured = "gates not measured: not_worse_than_prod, slice_gap"
    way = TO_MEASURE["slice_gap"].replace("More", "more", 1)
    assert result.message == (
        f"gates failed: accuracy; {unmeasured}; to measure it: {way}; the report of version 2 says what to try"
    )
    assert states(result.metrics)["not_worse_than_prod"] is State.UNMEASURED
    assert "test photos are left to compare on; 20 are needed" in (tmp_path / "report.html").read_text()
    assert "Compared with version 1, now in prod" in (tmp_path / "report.html").read_text()
    assert find_result(workspace, "job-2") == result
    _answers_by_its_threshold(catalog, tmp_path / "fetched")


def _answers_by_its_threshold(catalog: Catalog, directory: Path) -> None:
    version = catalog.version(2)
    files = catalog.fetch(version, directory)
    decision = Decision.from_json(files["decision.json"].read_bytes(), version.labels)
    assert (decision.positive, decision.false_positive_cost) == ("cat", 4)
    facts = json.loads(files["evaluation.json"].read_text())
    assert facts["decision"]["threshold"] == decision.threshold
    for probe in json.loads(files["probes.json"].read_text()):
        says_cat = probe["probabilities"][0] >= decision.threshold
        assert probe.get("label") in (None, "cat" if says_cat else "dog")


def test_a_class_that_cannot_raise_an_alarm_is_refused_before_training(built: Built, tmp_path: Path):
    plan = EvaluationPlan(checks=Checks(positive="cow"))
    result = attempt(replace(built.spec, evaluation=plan), built.lake, tmp_path)
    assert (result.error, "cat, dog" in (result.message or "")) == ("SpecMalformed", True)


def test_easy_photos_are_learned(built: Built):
    metrics = built.catalog.version(1).metrics
    assert metrics["accuracy"] > 0.9
    assert metrics["accuracy_low"] < metrics["accuracy"] <= metrics["accuracy_high"]
    assert metrics["n"] == len(built.ingestion.manifest.part(Split.TEST))


def test_the_probes_are_reproduced_from_their_bytes(built: Built, tmp_path: Path):
    files = built.catalog.fetch(built.catalog.version(1), tmp_path)
    exported = ExportedModel(files["model.onnx"])
    probes = json.loads(files["probes.json"].read_text())
    assert len(probes) == 5
    for probe in probes:
        again = exported.classify(decode(files[probe["photo"]].read_bytes(), exported.size)[None])[0]
        assert np.allclose(again, probe["probabilities"], atol=1e-5)


def test_every_epoch_is_recorded_in_order(built: Built):
    records = [EpochRecord.from_json(built.workspace.get(key)) for key in built.workspace.keys(epochs_prefix("job-1"))]
    assert [(record.epoch, record.of) for record in records] == [(1, 2), (2, 2)]


def test_a_job_that_ended_is_not_run_again(built: Built, tmp_path: Path):
    def fail() -> bool:
        raise AssertionError("it trains")

    again = run_job(
        "job-1",
        built.spec,
        workspace=built.workspace,
        lake=built.lake,
        catalog=built.catalog,
        directory=tmp_path,
        should_stop=fail,
    )
    assert again == built.result


def test_a_job_that_was_lost_after_publishing_does_not_publish_twice(built: Built, tmp_path: Path):
    workspace = MemoryStore()
    again = run_job(
        "job-1", built.spec, workspace=workspace, lake=built.lake, catalog=built.catalog, directory=tmp_path
    )
    assert (again.version, again.digest) == (1, built.result.digest)
    assert len(built.catalog.versions()) == 1
    assert find_result(workspace, "job-1") == again


def stop_after(calls: int) -> Callable[[], bool]:
    count = iter(range(calls))
    return lambda: next(count, None) is None


def test_an_interrupted_job_goes_on_elsewhere_to_the_same_weights(built: Built, tmp_path: Path):
    workspace, catalog = MemoryStore(), Catalog(MemoryStore(), "pets")
    photos = len(built.ingestion.manifest.photos)
    for calls in (10, photos + 3):
        with pytest.raises(Interrupted):
            run_job(
                "job-1",
                built.spec,
                workspace=workspace,
                lake=built.lake,
                catalog=catalog,
                directory=tmp_path,
                should_stop=stop_after(calls),
            )
        assert find_result(workspace, "job-1") is None
    assert len(list(workspace.keys(checkpoints_prefix("job-1")))) == 1
    run_job("job-1", built.spec, workspace=workspace, lake=built.lake, catalog=catalog, directory=tmp_path)
    one = torch.load(tmp_path / "weights.pt", weights_only=True)
    other = torch.load(built.directory / "weights.pt", weights_only=True)
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert catalog.version(1).metrics == built.catalog.version(1).metrics


def test_an_interrupted_job_ends_with_the_records_of_its_epochs_stored(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    interrupted = threading.Event()

    class SlowEpochs(MemoryStore):
        def create(self, key: str, body: bytes) -> None:
            if key.startswith(epochs_prefix("job-1")):
                assert interrupted.wait(60)
            super().create(key, body)

    def train_one_epoch(*_: object, on_epoch: Callable[[EpochRecord], None], **__: object) -> None:
        on_epoch(EpochRecord(epoch=1, of=2, train_loss=1, loss=1, accuracy=1, learning_rate=1, seconds=1))
        interrupted.set()
        raise Interrupted("interrupted after 8 of 16 steps")

    workspace, catalog = SlowEpochs(), Catalog(MemoryStore(), "pets")
    monkeypatch.setattr("training.jobs.run.train", train_one_epoch)
    with pytest.raises(Interrupted):
        run_job("job-1", built.spec, workspace=workspace, lake=built.lake, catalog=catalog, directory=tmp_path)
    assert len(list(workspace.keys(epochs_prefix("job-1")))) == 1


def test_no_checkpoint_is_stored_before_the_records_of_its_epochs(built: Built, tmp_path: Path):
    class SlowEpochs(MemoryStore):
        """Records of epochs take as long as a checkpoint needs to be stored, or half a second."""

        def __init__(self) -> None:
            super().__init__()
            self.checkpoint_stored = threading.Event()
            self.created: list[str] = []

        def create(self, key: str, body: bytes) -> None:
            if key.startswith(epochs_prefix("job-1")):
                self.checkpoint_stored.wait(0.5)
            super().create(key, body)
            self.created.append(key)
            if key.startswith(checkpoints_prefix("job-1")):
                self.checkpoint_stored.set()

    workspace, catalog = SlowEpochs(), Catalog(MemoryStore(), "pets")
    run_job("job-1", built.spec, workspace=workspace, lake=built.lake, catalog=catalog, directory=tmp_path)
    first, *_ = (
        key for key in workspace.created if key.startswith((epochs_prefix("job-1"), checkpoints_prefix("job-1")))
    )
    assert first == epoch_key("job-1", 1)


def test_a_missing_dataset_is_a_result(tmp_path: Path):
    result = attempt(JobSpec(dataset="0" * 64, seed=1, requested_by=REQUESTER), MemoryStore(), tmp_path)
    assert (result.status, result.error) == ("failed", "DatasetMissing")
    assert "petpark data list" in (result.message or "")


def test_a_dataset_of_one_class_is_refused(ingestion: Ingestion, tmp_path: Path):
    lake = MemoryStore()
    cats = Manifest.of(photo for photo in ingestion.manifest.photos if photo.label == "cat")
    result = attempt(JobSpec(dataset=store_manifest(lake, cats), seed=1, requested_by=REQUESTER), lake, tmp_path)
    assert (result.error, result.version) == ("DatasetRefused", None)
    assert "only one class" in (result.message or "")


def test_photos_lost_or_changed_in_the_data_lake_are_named(ingestion: Ingestion, tmp_path: Path):
    lake = MemoryStore()
    sha256 = store_manifest(lake, ingestion.manifest)
    result = attempt(JobSpec(dataset=sha256, seed=1, requested_by=REQUESTER, hyper_parameters=TINY), lake, tmp_path)
    assert result.error == "PhotoLost"
    assert "not in the data lake" in (result.message or "")
    for photo in ingestion.manifest.photos:
        lake.create(photo_key(photo.sha256), b"something else")
    result = attempt(JobSpec(dataset=sha256, seed=1, requested_by=REQUESTER, hyper_parameters=TINY), lake, tmp_path)
    assert "other bytes" in (result.message or "")


def test_a_job_has_its_time_and_no_more(built: Built, tmp_path: Path):
    result = run_job(
        "job",
        replace(built.spec, max_seconds=60),
        workspace=MemoryStore(),
        lake=built.lake,
        catalog=Catalog(MemoryStore(), "pets"),
        directory=tmp_path,
        clock=iter(range(0, 10**9, 40)).__next__,
    )
    assert (result.error, result.message) == (
        "TookTooLong",
        "not finished after 60 s; allow more time, or use fewer epochs or smaller photos",
    )


def test_an_unknown_architecture_is_refused_with_those_that_exist():
    with pytest.raises(SpecMalformed, match="resnet18"):
        replace(TINY, architecture="resnet999")


def test_unknown_or_unfitting_initial_weights_are_refused(built: Built, tmp_path: Path):
    result = attempt(replace(built.spec, initial_weights="0" * 64), built.lake, tmp_path)
    assert result.error == "WeightsRefused"
    weights = next(file for file in built.catalog.version(1).files if file.name == "weights.pt")
    workspace = MemoryStore()
    workspace.create(initial_weights_key("job"), (built.directory / "weights.pt").read_bytes())
    other = replace(TINY, architecture="mobilenet_v3_small")
    spec = replace(built.spec, initial_weights=weights.sha256, hyper_parameters=other)
    result = attempt(spec, built.lake, tmp_path, workspace)
    assert result.error == "WeightsRefused"
    assert "fit this architecture" in (result.message or "")
