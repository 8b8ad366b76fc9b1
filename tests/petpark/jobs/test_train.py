"""`petpark data` and `petpark train`, from photos to a job on an instance."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from petpark.errors import GATES_FAILED
from petpark.jobs import execution_events
from petpark.models import gates
from registry.layout.data_lake import manifest_key
from registry.layout.jobs import JOBS, epoch_key, job_result_key, job_spec_key, progress_key
from registry.store.memory_store import MemoryStore
from tests.petpark.conftest import Place, Run
from training.hyper_parameters import FOR_FEW_PHOTOS, FOR_TRANSFER
from training.job import EpochRecord, JobResult, JobSpec, ProgressRecord, initial_weights_key
from training.networks import pretrained


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve different photos of each of two classes, and one file that is none."""
    for label, hue in (("cat", 40), ("dog", 200)):
        for number in range(24):
            path = tmp_path / "photos" / label / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            out = io.BytesIO()
            Image.new("RGB", (40, 30), (hue, 10 * number, 255 - 10 * number)).save(out, "JPEG")
            path.write_bytes(out.getvalue())
    (tmp_path / "photos" / "cat" / "broken.jpg").write_bytes(b"no photo")
    return tmp_path / "photos"


@pytest.fixture
def dataset(run: Run, photos: Path) -> str:
    result = run("data", "ingest", str(photos), "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["dataset"]


def test_ingesting_counts_names_and_skips_what_is_no_photo(run: Run, photos: Path) -> None:
    output = json.loads(run("data", "ingest", str(photos), "--json").stdout)
    assert output["photos"] == output["added"] == 48
    assert [skipped["path"] for skipped in output["skipped"]] == ["cat/broken.jpg"]
    assert json.loads(run("data", "ingest", str(photos), "--json").stdout)["added"] == 0
    assert "cat/broken.jpg" in run("data", "ingest", str(photos)).stdout


def test_what_is_no_dataset_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    result = run("data", "ingest", str(tmp_path))
    assert (result.exit_code, result.stderr.startswith("DatasetRefused: ")) == (1, True)


def test_the_list_shows_labels_and_splits(run: Run, dataset: str) -> None:
    (output,) = json.loads(run("data", "list", "--json").stdout)["datasets"]
    assert output["sha256"] == dataset
    assert output["labels"] == {"cat": 24, "dog": 24}
    assert sum(output["splits"].values()) == 48
    assert "cat 24, dog 24" in run("data", "list").stdout


def test_without_a_dataset_the_list_says_how_to_make_one(run: Run) -> None:
    assert "petpark data ingest" in run("data", "list").stdout


def test_training_submits_a_job_and_starts_its_execution(run: Run, place: Place, dataset: str, ec2: Any) -> None:
    result = run("train", "--dataset", dataset[:8], "--set", "epochs=2", "--seed", "5", "--json")
    output = json.loads(result.stdout)
    assert output["execution"].endswith(f":petpark-job:{output['job']}")
    spec = JobSpec.from_json(place.buckets["workspace"].get(job_spec_key(output["job"])))
    assert (spec.dataset, spec.seed, spec.hyper_parameters.epochs) == (dataset, 5, 2)


def test_training_begins_with_the_recipe_that_is_named(run: Run, place: Place, dataset: str, ec2: Any) -> None:
    output = json.loads(run("train", "--dataset", dataset, "--recipe", "few-photos", "--json").stdout)
    spec = JobSpec.from_json(place.buckets["workspace"].get(job_spec_key(output["job"])))
    assert spec.hyper_parameters == FOR_FEW_PHOTOS
    assert "few-photos" in run("train", "--dataset", dataset, "--recipe", "fewer").stderr


def test_an_interrupted_training_is_taken_up_until_it_is_finished(run: Run, place: Place, dataset: str) -> None:
    first = json.loads(run("train", "--dataset", dataset, "--json").stdout)
    job = first["job"]
    place.states.executions[first["execution"]]["status"] = "FAILED"
    workspace = place.buckets["workspace"]
    resumed = json.loads(run("train", "--resume", job, "--json").stdout)
    assert resumed["job"] == job
    assert resumed["execution"] == f"{first['execution']}-r2"
    result = JobResult(job=job, status="succeeded", version=4)
    workspace.create(job_result_key(job), result.to_json())
    refused = run("train", "--resume", job)
    assert (refused.exit_code, refused.stderr.startswith("JobFinished: ")) == (1, True)


@pytest.mark.parametrize("options", [[], ["--dataset", "a", "--resume", "b"]])
def test_training_is_of_a_dataset_or_of_an_interrupted_job(run: Run, options: list[str]) -> None:
    assert run("train", *options).exit_code == 2


def test_a_setting_that_does_not_exist_is_bad_usage(run: Run, place: Place, dataset: str) -> None:
    for wrong in (("--set", "epoch=2"), ("--gate", "accuracy=2"), ("--check", "photo=9")):
        result = run("train", "--dataset", dataset, *wrong)
        assert (result.exit_code, result.stderr.startswith("SpecMalformed: ")) == (2, True)
    assert place.states.executions == {}


def test_a_watched_training_ends_with_the_jobs_own_end(
    run: Run, place: Place, dataset: str, ec2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = place.buckets.setdefault("workspace", MemoryStore())

    def end(_seconds: float) -> None:
        (job,) = {key.split("/")[1] for key in workspace.keys(JOBS)}
        workspace.create(
            job_result_key(job), JobResult(job=job, status="succeeded", version=4, digest="sha256:x").to_json()
        )
        place.states.end("SUCCEEDED")

    monkeypatch.setattr(execution_events, "follow", functools.partial(execution_events.follow, pause=end))
    result = run("train", "--dataset", dataset, "--watch", "--json")
    assert result.exit_code == 0
    output = json.loads(result.stdout)
    assert (output["status"], output["version"], output["epochs"]) == ("succeeded", 4, [])


def test_a_watched_training_tells_a_pipe_how_far_it_is_how_good_and_how_long_it_will_take(
    run: Run, place: Place, dataset: str, ec2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = place.buckets.setdefault("workspace", MemoryStore())

    def go_on(_seconds: float) -> None:
        (job,) = {key.split("/")[1] for key in workspace.keys(JOBS)}
        progress = ProgressRecord(doing="photos embedded", done=64, of=128, seconds_left=75.0)
        epoch = EpochRecord(epoch=2, of=4, train_loss=1, loss=0.5, accuracy=0.875, learning_rate=1, seconds=30.0)
        workspace.create(progress_key(job, *progress.key), progress.to_json())
        workspace.create(epoch_key(job, 2), epoch.to_json())
        workspace.create(job_result_key(job), JobResult(job=job, status="succeeded", version=4).to_json())
        place.states.end("SUCCEEDED")

    monkeypatch.setattr(execution_events, "follow", functools.partial(execution_events.follow, pause=go_on))
    result = run("train", "--dataset", dataset, "--watch")
    assert "64 of 128 photos embedded, 1 min 15 s left" in result.stderr
    assert "epoch 2 of 4: accuracy 87.5%, loss 0.500, 30.0 s; 1 min 00 s left" in result.stderr


def test_real_photos_are_trained_by_a_linear_layer_on_imagenets_weights(
    run: Run, place: Place, dataset: str, ec2: Any
) -> None:
    job = json.loads(run("train", "--dataset", dataset, "--recipe", "transfer", "--json").stdout)["job"]
    workspace = place.buckets["workspace"]
    spec = JobSpec.from_json(workspace.get(job_spec_key(job)))
    assert spec.hyper_parameters == FOR_TRANSFER
    assert spec.initial_weights == pretrained.PACKAGED["efficientnet_lite0"].sha256
    assert workspace.stat(initial_weights_key(job)) is None  # an instance has them from its lock
    result = run("train", "--dataset", dataset, "--recipe", "transfer", "--set", "epochs=4")
    assert (result.exit_code, "epochs changes nothing" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--grid", "learning_rate=0.1,0.2"), "learning_rate changes nothing where a linear layer alone is learned"),
        (("--grid", "image_size=192,224,256", "--halving"), "a linear layer alone (frozen=1) is learned without any"),
        (
            ("--set", "frozen=0", "--grid", "image_size=192,224,256", "--halving"),
            "halving needs to know the epochs, and 0 leaves them to the number of photos",
        ),
    ],
)
def test_a_search_that_would_change_nothing_is_refused_before_anything_is_stored(
    run: Run, place: Place, dataset: str, ec2: Any, words: tuple[str, ...], expected: str
) -> None:
    refused = run("search", "run", "--dataset", dataset, "--recipe", "transfer", *words)
    assert (refused.exit_code, expected in refused.stderr) == (2, True), refused.stderr
    assert list(place.buckets.setdefault("workspace", MemoryStore()).keys("")) == []


def test_a_dataset_that_does_not_exist_is_named(run: Run) -> None:
    result = run("train", "--dataset", "beef")
    assert (result.exit_code, result.stderr.startswith("DatasetMissing: ")) == (1, True)


def test_training_starts_from_the_weights_of_a_version(
    run: Run, place: Place, dataset: str, ec2: Any, tmp_path: Path
) -> None:
    (tmp_path / "weights.pt").write_bytes(b"trained before")
    before = place.catalog.publish(
        {"weights.pt": tmp_path / "weights.pt"}, labels=["cat", "dog"], metrics={}, lineage={}
    )
    job = json.loads(run("train", "--dataset", dataset, "--weights", str(before.number), "--json").stdout)["job"]
    spec = JobSpec.from_json(place.buckets["workspace"].get(job_spec_key(job)))
    assert spec.initial_weights == before.files[0].sha256


def test_training_starts_from_the_weights_in_a_file(
    run: Run, place: Place, dataset: str, ec2: Any, tmp_path: Path
) -> None:
    (tmp_path / "imagenet.pth").write_bytes(b"from elsewhere")
    result = run("train", "--dataset", dataset, "--weights", str(tmp_path / "imagenet.pth"), "--json")
    job = json.loads(result.stdout)["job"]
    workspace = place.buckets["workspace"]
    spec = JobSpec.from_json(workspace.get(job_spec_key(job)))
    assert spec.initial_weights == hashlib.sha256(b"from elsewhere").hexdigest()
    assert workspace.get(initial_weights_key(job)) == b"from elsewhere"


def test_weights_that_are_nowhere_are_refused_before_anything_starts(
    run: Run, place: Place, dataset: str, publish: Any, ec2: Any
) -> None:
    bare = publish()
    for weights in ("nowhere.pth", str(bare.number)):
        result = run("train", "--dataset", dataset, "--weights", weights)
        assert result.stderr.startswith("WeightsMissing: "), result.stderr
    assert list(place.buckets.setdefault("workspace", MemoryStore()).keys(JOBS)) == []


def test_weights_of_another_network_are_refused_before_anything_is_stored_or_launched(
    run: Run, place: Place, dataset: str, ec2: Any, tmp_path: Path
) -> None:
    workspace = place.buckets.setdefault("workspace", MemoryStore())
    (tmp_path / "weights.pt").write_bytes(b"trained before")
    job = json.loads(run("train", "--dataset", dataset, "--set", "architecture=resnet18", "--json").stdout)["job"]
    larger = place.catalog.publish(
        {"weights.pt": tmp_path / "weights.pt"}, labels=["cat", "dog"], metrics={}, lineage={"run": job}
    )
    before = list(workspace.keys(""))
    started = len(place.states.executions)
    for weights, architecture in ((larger.digest[:14], "mobilenet_v3_small"), (str(larger.number), "convnext_tiny")):
        for words in (("train",), ("search", "run", "--grid", "learning_rate=0.1,0.2")):
            result = run(
                *words, "--dataset", dataset, "--weights", weights, "--set", f"architecture={architecture}",
                "--set", "image_size=64",
            )  # fmt: skip
            assert result.stderr.startswith("WeightsOfAnother: "), result.stderr
    assert (list(workspace.keys("")), len(place.states.executions)) == (before, started)
    fits = run("train", "--dataset", dataset, "--weights", larger.digest[:14], "--set", "architecture=resnet10")
    assert fits.exit_code == 0, fits.stderr


def test_a_file_of_torchvision_is_known_by_name_and_hash_and_of_any_other_it_is_said_that_it_is_not(
    run: Run, dataset: str, ec2: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"published by torchvision"
    name = f"resnet18-{hashlib.sha256(body).hexdigest()[:8]}.pth"
    monkeypatch.setattr(pretrained, "PUBLISHED", {"resnet18": f"https://example.org/models/{name}"})
    for path, content in (("known", body), ("changed", b"other bytes")):
        (tmp_path / path).mkdir()
        (tmp_path / path / name).write_bytes(content)
    to = ("train", "--dataset", dataset, "--set", "architecture=efficientnet_b0", "--weights")
    assert run(*to, str(tmp_path / "known" / name)).stderr.startswith("WeightsOfAnother: ")
    other = run(*to, str(tmp_path / "changed" / name))
    assert (other.exit_code, "is unknown: the instance" in other.stderr) == (0, True)


def test_a_search_over_networks_starts_from_no_weights(run: Run, dataset: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"weights")
    result = run(
        "search", "run", "--dataset", dataset, "--weights", str(tmp_path / "weights.pt"),
        "--grid", "architecture=resnet8,resnet18",
    )  # fmt: skip
    assert (result.exit_code, "weights fit one network" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--set", "mixup=-1"),
        ("--set", "architecture=resnet999"),
        ("--set", "weight_decay=nan"),
        ("--set", "batch_size=0"),
        ("--set", "start_size=-8"),
        ("--set", "image_size=100000"),
        ("--check", "positive=cow"),
        ("--check", "false_negative_cost=nan"),
        ("--seed", str(2**60)),
        ("--seed", "-1"),
    ],
)
def test_a_training_that_cannot_be_is_refused_before_anything_is_stored_or_launched(
    run: Run, place: Place, dataset: str, ec2: Any, tmp_path: Path, wrong: tuple[str, str]
) -> None:
    (tmp_path / "weights.pt").write_bytes(b"weights")
    for words in (("train",), ("search", "run", "--grid", "learning_rate=0.1,0.2")):
        result = run(*words, "--dataset", dataset, "--weights", str(tmp_path / "weights.pt"), *wrong)
        assert result.exit_code == 2, result.output
    assert list(place.buckets.setdefault("workspace", MemoryStore()).keys("")) == []
    assert place.states.executions == {}
    assert run("jobs", "list").exit_code == 0


def test_a_dataset_without_the_report_that_its_stack_asks_for_is_refused_before_anything_is_launched(
    run: Run, place: Place, dataset: str, ec2: Any
) -> None:
    place.exported["test"]["gates"] = {**place.exported["test"]["gates"], "data": {"label_noise": 0.05}}
    for words in (("train",), ("search", "run", "--grid", "learning_rate=0.1,0.2")):
        result = run(*words, "--dataset", dataset)
        assert (result.exit_code, result.stderr.startswith("DatasetRefused: ")) == (1, True), result.output
        assert f"petpark data report {dataset[:12]}" in result.stderr
    assert list(place.buckets.setdefault("workspace", MemoryStore()).keys("")) == []


def test_a_search_whose_settings_do_not_go_together_is_refused_before_anything_is_stored(
    run: Run, place: Place, dataset: str, ec2: Any
) -> None:
    wrong = ("--grid", "image_size=16,64", "--grid", "start_size=32,0")
    result = run("search", "run", "--dataset", dataset, *wrong)
    assert (result.exit_code, "start_size must be from 8 to 16" in result.stderr) == (2, True)
    assert list(place.buckets.setdefault("workspace", MemoryStore()).keys("")) == []


def test_gates_that_failed_are_a_table_and_no_figure_is_shown_as_code(
    run: Run, place: Place, dataset: str, ec2: Any, monkeypatch: pytest.MonkeyPatch, publish: Any
) -> None:
    workspace = place.buckets.setdefault("workspace", MemoryStore())
    version = publish()
    metrics = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "gate_accuracy": 0.0}

    def end(_seconds: float) -> None:
        (job,) = {key.split("/")[1] for key in workspace.keys(JOBS)}
        result = JobResult(job=job, status="succeeded", version=version.number, metrics=metrics)
        workspace.create(job_result_key(job), result.to_json())
        place.states.end("SUCCEEDED")

    monkeypatch.setattr(execution_events, "follow", functools.partial(execution_events.follow, pause=end))
    monkeypatch.setattr(gates, "judgement", lambda _target, number: gates.briefly(number, metrics))
    completed = run("train", "--dataset", dataset, "--watch")
    assert completed.exit_code == GATES_FAILED
    assert "0.5 (0.4 to 0.6)" in completed.stdout
    assert not set("{}[]") & set(completed.stdout)
    header = next(line for line in completed.stdout.splitlines() if "must be" in line)
    assert header.split() == ["gate", "must", "be", "found", "why"]


def test_a_manifest_that_cannot_be_read_is_a_row_of_the_list(run: Run, place: Place, dataset: str) -> None:
    place.buckets["lake"].create(manifest_key("foreign"), b"hello")
    place.buckets["lake"].create(manifest_key("0" * 64), b"hello")
    result = run("data", "list")
    assert result.exit_code == 0, result.output
    assert "cat 24, dog 24" in result.stdout
    assert manifest_key("foreign") in result.stdout
    assert manifest_key("0" * 64) in result.stdout
