"""`petpark models lineage`: from a version back to the photos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from petpark.models.lineage import OriginUnknown, Run, walk
from registry.errors import StoreRefused, StoreUnavailable
from registry.layout.data_lake import manifest_key
from registry.layout.jobs import epoch_key, job_result_key, job_spec_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from tests.petpark.conftest import ACCOUNT, FakeTarget, Place
from tests.petpark.conftest import Run as Command
from tests.training.dataset.test_manifest import photo
from training.dataset.manifest import Manifest, Split, store_manifest
from training.hyper_parameters import HyperParameters
from training.job import EpochRecord, JobResult, JobSpec, submit

ANA = f"arn:aws:sts::{ACCOUNT}:assumed-role/publisher/ana"
MACHINE = f"arn:aws:sts::{ACCOUNT}:assumed-role/training/i-7"
DATASET = Manifest.of(
    [
        photo("cat/1.jpg", sha256="1" * 64, label="cat"),
        photo("cat/2.jpg", sha256="2" * 64, label="cat", split=Split.TEST),
        photo("dog/1.jpg", sha256="3" * 64, label="dog"),
    ]
)

type Train = Callable[..., Version]


@pytest.fixture
def train(place: Place, tmp_path: Path) -> Train:
    """Leave behind what a training leaves behind; returns its version."""
    lake, workspace = (place.buckets.setdefault(name, MemoryStore()) for name in ("lake", "workspace"))

    def make(*, initial_weights: str | None = None) -> Version:
        number = len(place.catalog.numbers()) + 1
        job = f"job-{number}"
        dataset = store_manifest(lake, DATASET)
        parameters = HyperParameters(epochs=2)
        spec = JobSpec(
            dataset=dataset, seed=5, requested_by=ANA, hyper_parameters=parameters, initial_weights=initial_weights
        )
        submit(workspace, job, spec)
        for epoch in (1, 2):
            record = EpochRecord(
                epoch=epoch, of=2, train_loss=0.5, loss=0.4, accuracy=0.9, learning_rate=0.001, seconds=2.0
            )
            workspace.create(epoch_key(job, epoch), record.to_json())
        weights = tmp_path / f"{number}.pt"
        weights.write_text(f"weights {number}")
        lineage = {"run": job, "dataset": dataset, "seed": "5", "trained_by": MACHINE, "requested_by": ANA}
        version = place.catalog.publish(
            {"weights.pt": weights},
            labels=["cat", "dog"],
            metrics={"accuracy": 0.95},
            lineage=lineage | ({"initial_weights": initial_weights} if initial_weights else {}),
        )
        result = JobResult(job=job, status="succeeded", version=number, digest=version.digest, seconds=61.0)
        workspace.create(job_result_key(job), result.to_json())
        return version

    return make


def weights_of(version: Version) -> str:
    return version.files[0].sha256


def output_of(run: Command, *words: str) -> dict[str, Any]:
    said = run("models", "lineage", *words, "--json")
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


def test_a_version_leads_to_its_run_its_dataset_and_who_asked(run: Command, train: Train) -> None:
    train()
    found = output_of(run, "1")
    assert (found["lineage"]["requested_by"], found["lineage"]["trained_by"]) == (ANA, MACHINE)
    assert (found["run"]["job"], found["run"]["epochs"], found["run"]["last_epoch"]["accuracy"]) == ("job-1", 2, 0.9)
    assert found["run"]["spec"]["hyper_parameters"]["epochs"] == 2
    assert found["run"]["result"]["status"] == "succeeded"
    assert (found["dataset"]["sha256"], found["dataset"]["photos"]) == (DATASET.sha256, 3)
    assert found["dataset"]["counts"]["cat"] == {"train": 1, "validation": 0, "test": 1}
    assert found["initial_weights"] is None
    assert "list" not in found["dataset"]


def test_the_photos_are_named_on_request(run: Command, train: Train) -> None:
    train()
    listed = output_of(run, "1", "--photos")["dataset"]["list"]
    assert listed[1] == {"key": "cat/2.jpg", "sha256": "2" * 64, "label": "cat", "split": "test"}
    assert "cat/2.jpg  test, 222222222222" in run("models", "lineage", "1", "--photos").stdout


def test_the_walk_goes_on_through_the_versions_whose_weights_were_begun_with(run: Command, train: Train) -> None:
    first = train()
    second = train(initial_weights=weights_of(first))
    train()
    train(initial_weights=weights_of(second))
    found = output_of(run, "4")
    parent = found["initial_weights"]
    assert (parent["sha256"], parent["origin"]["version"]) == (weights_of(second), 2)
    assert parent["origin"]["initial_weights"]["origin"]["version"] == 1
    assert parent["origin"]["initial_weights"]["origin"]["initial_weights"] is None


def test_people_see_a_tree(run: Command, train: Train) -> None:
    first = train()
    second = train(initial_weights=weights_of(first))
    shown = run("models", "lineage", "2").stdout
    for version in (first, second):
        when = f"{version.created_at[:10]} {version.created_at[11:19]}"
        shown = shown.replace(version.digest[7:19], f"DIGEST-{version.number}").replace(when, "WHEN")
    assert shown.replace(weights_of(first)[:12], "WEIGHTS") == SHOWN


SHOWN = f"""\
pets version 2  DIGEST-2, WHEN, accuracy 95.0 %
├── run job-2
│   ├── requested by ana, trained by i-7
│   ├── seed 5
│   ├── settings: epochs=2
│   ├── 2 of 2 epochs, the last with accuracy 90.0% on validation photos
│   └── succeeded after 61 s, version 2
├── dataset {DATASET.sha256[:12]}
│   ├── 3 photos
│   ├── cat  2: train 1, validation 0, test 1
│   └── dog  1: train 1, validation 0, test 0
└── weights from WEIGHTS
    └── pets version 1  DIGEST-1, WHEN, accuracy 95.0 %
        ├── run job-1
        │   ├── requested by ana, trained by i-7
        │   ├── seed 5
        │   ├── settings: epochs=2
        │   ├── 2 of 2 epochs, the last with accuracy 90.0% on validation photos
        │   └── succeeded after 61 s, version 1
        ├── dataset {DATASET.sha256[:12]}
        │   ├── 3 photos
        │   ├── cat  2: train 1, validation 0, test 1
        │   └── dog  1: train 1, validation 0, test 0
        └── weights from scratch
"""


def test_weights_of_no_version_were_handed_in(run: Command, train: Train) -> None:
    train(initial_weights="a" * 64)
    assert "not a version's file" in output_of(run, "1")["initial_weights"]["lost"]
    assert "not a version's file" in run("models", "lineage", "1").stdout


def test_weights_are_found_among_many_versions(place: Place, train: Train, publish: Callable[..., Version]) -> None:
    first = train()
    for _ in range(40):
        publish()
    last = train(initial_weights=weights_of(first))
    origin = walk(place.target(), last.number)
    assert not isinstance(origin.weights, OriginUnknown | None)
    assert origin.weights.version == first


def test_a_job_that_was_forgotten_is_said(run: Command, train: Train, place: Place) -> None:
    train()
    workspace = place.buckets["workspace"]
    for key in list(workspace.keys("jobs/")):
        workspace.delete(key)
    found = output_of(run, "1")
    assert "keeps jobs for 90 days" in found["run"]["lost"]
    assert found["dataset"]["photos"] == 3
    shown = run("models", "lineage", "1").stdout
    assert "keeps jobs for 90 days" in shown
    assert "requested by ana, trained by i-7" in shown, "the version itself still knows"


def test_a_job_without_a_result_and_one_that_cannot_be_read_are_told_apart(train: Train, place: Place) -> None:
    train()
    train()
    workspace = place.buckets["workspace"]
    workspace.delete(job_result_key("job-1"))
    workspace.delete(job_spec_key("job-2"))
    workspace.create(job_spec_key("job-2"), b"{}")
    first, second = (walk(place.target(), number).run for number in (1, 2))
    assert isinstance(first, Run)
    assert first.result is None
    assert isinstance(second, OriginUnknown)
    assert "malformed job spec" in second.reason


def test_a_dataset_that_is_gone_is_said(run: Command, train: Train, place: Place) -> None:
    train()
    place.buckets["lake"].delete(manifest_key(DATASET.sha256))
    assert DATASET.sha256 in output_of(run, "1")["dataset"]["lost"]
    assert run("models", "lineage", "1").exit_code == 0


def test_a_version_that_names_nothing_has_no_more_to_tell(run: Command, place: Place, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    place.catalog.publish({"model.onnx": tmp_path / "model.onnx"}, labels=[], metrics={}, lineage={})
    found = output_of(run, "1")
    assert (found["run"], found["dataset"], found["initial_weights"]) == (None, None, None)
    assert run("models", "lineage", "1").stdout.count("not named") == 2


class Closed(MemoryStore):
    """A bucket that says no, or nothing."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def get(self, key: str) -> bytes:
        raise self._error


def test_what_this_person_may_not_see_is_said_but_silence_is_a_failure(
    run: Command, train: Train, place: Place
) -> None:
    train()
    place.buckets["lake"] = place.buckets["workspace"] = Closed(StoreRefused("read", "403"))
    found = output_of(run, "1")
    assert "403" in found["run"]["lost"]
    assert "403" in found["dataset"]["lost"]
    place.buckets["lake"] = Closed(StoreUnavailable("read", "no answer"))
    assert run("models", "lineage", "1").exit_code == 2


def test_who_may_not_act_as_publisher_still_sees_the_version(
    run: Command, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    train()
    store = FakeTarget.store

    def only_the_registry(self: FakeTarget, bucket: str, *, role: str | None = None) -> Any:
        if bucket != "models":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "AssumeRole")
        return store(self, bucket, role=role)

    monkeypatch.setattr(FakeTarget, "store", only_the_registry)
    found = output_of(run, "1")
    assert "not you" in found["run"]["lost"]
    assert found["lineage"]["run"] == "job-1"
