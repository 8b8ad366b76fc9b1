"""The whole lifecycle, small: the same story, program, user data and roles as `make demo`."""

import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from camera.visits.visits import VisitRules
from registry.encoding import sha256_hex
from registry.identity import person
from registry.store.memory_store import MemoryStore
from rehearsal.demo_users import DEMO_USERS
from rehearsal.report.summary import RehearsalFacts
from rehearsal.run import RunOptions, run
from rehearsal.scenario.scenario_options import SEED, ScenarioOptions
from training.dataset.generated import generate
from training.dataset.ingest import ingest
from training.dataset.splits.split import Split

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(600)]

ASKED = {
    "accuracy": 0.4, "recall": 0.25, "calibration_error": 0.25, "robustness_drop": 0.4, "consistency": 0.5,
    "luck": 0.05, "milliseconds": 5000,
}  # fmt: skip
"""Gates that a model of 116 photos and 32 pixels passes, and one that guesses does not."""
NOT_ASKED = {
    "slice_gap": 1, "abstention_coverage": 0, "abstention_kept": 0, "abstention_refused_far": 0,
    "abstention_refused_near": 0,
}  # fmt: skip
"""Of 31 test photos without cameras or other classes, none of these can be measured."""
DATA = {"rarest_class": 0.3, "label_noise": 1, "unlike": 1}
"""The report of a rehearsal has no networks, which find wrong labels and photos that are like no others."""
CHECKS = {"photos": 40, "calls": 30}
GATES = {"test": {"petpark:gates": {"data": DATA, "model": ASKED | NOT_ASKED, "checks": CHECKS}}}

SMALL = ScenarioOptions(photo_count=160, recipe=("epochs=24", "image_size=32"), most_held_out=40)
"""After 24 epochs the model is 0.94 sure of a photo of each class, after 10 of none: a visit begins at 0.8."""


def processes_with(text: str) -> list[str]:
    """Command lines of processes that mention `text` in their arguments or environment."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            about = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if text.encode() in about:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> tuple[Path, RehearsalFacts]:
    directory = tmp_path_factory.mktemp("rehearsal")
    options = RunOptions(directory=directory, engine="embedded", script=SMALL, settings=GATES)
    return directory, run(options, Console(), kept=print)


def test_every_step_succeeds_from_photos_to_prod_and_back(told):
    _, facts = told
    assert facts.ok
    names = [step.name for step in facts.steps]
    for wanted in (
        "deploy stack test until it is usable",
        "deploy the rest of stack test",
        "deploy stack prod",
        "ingest photos",
        "pipeline: start from the new manifest",
        "certify version 1",
        "pipeline: read prod back",
        "call prod without a key, and with it",
        "start a camera at prod",
        "read the camera's visits",
        "roll back to version 1 under traffic",
    ):
        assert wanted in names


def test_a_new_manifest_becomes_a_version_in_prod_by_workers_alone_but_for_the_certificate(told):
    _, facts = told
    outcomes = {stage.state: stage.outcome for stage in facts.stages}
    assert list(outcomes.items()) == [
        ("CheckDataset", "passed"),
        ("Train", "published"),
        ("MoveTest", "moved"),
        ("ApplicationTest", "passed"),
        ("WaitForCertification", "certified"),
        ("MoveProd", "moved"),
        ("ReadBack", "passed"),
    ]
    stages = {stage.state: stage for stage in facts.stages}
    assert len(facts.stages) == len(stages), "of one execution"
    assert stages["Train"].version == 1
    wait = stages.pop("WaitForCertification")
    assert (person(wait.by), wait.instance) == ("vera", "")
    assert not any(stage.by for stage in stages.values()), "nobody but the certifier acted"
    assert all(stage.work is not None and stage.seconds > stage.work for stage in stages.values())
    workers = [stage.instance for stage in stages.values()]
    assert len(set(workers)) == len(workers) == 6
    moved = {release.channel: release for release in reversed(facts.releases)}
    assert {channel: release.version for channel, release in moved.items()} == {"test": 1, "prod": 1}
    movers = {channel: person(release.by) for channel, release in moved.items()}
    assert movers == {"test": stages["MoveTest"].instance, "prod": stages["MoveProd"].instance}


def test_instances_of_jobs_are_gone_at_the_end(told):
    _, facts = told
    (found,) = [step.detail for step in facts.steps if step.name == "check that no instance is left running"]
    assert found == "all 7 that ran jobs are terminated; 2 serve"


def test_training_certification_and_promotion_are_done_by_three_people(told):
    directory, facts = told
    who = {step.name: person(step.by) for step in facts.steps if step.by}
    assert {name.split()[0]: person for name, person in who.items()} == {
        "ingest": "ana", "train": "ana", "certify": "vera", "create": "mia", "promote": "mia", "roll": "mia",
        "read": "ana",
    }  # fmt: skip
    assert {person(release.by) for release in facts.releases[2:]} == {"mia"}
    words = set(re.findall(r"\w+", (directory / "summary.json").read_text()))
    assert words.isdisjoint(member.name for member in DEMO_USERS)


def test_each_version_passed_gates_that_ask_for_something(told):
    _, facts = told
    assert set(facts.gates) == {1, 2}
    for verdicts in facts.gates.values():
        said = {verdict.name: verdict for verdict in verdicts}
        assert all(verdict.passed and verdict.asked for verdict in verdicts)
        assert all("not measured" not in said[name].found and said[name].found for name in {*ASKED} - {"luck"})
        assert "at least 40" in said["accuracy"].asked
    assert facts.stacks["prod"]["gates"]["model"] == ASKED | NOT_ASKED


def test_no_request_is_lost_while_a_release_moves_and_moves_back(told):
    _, facts = told
    assert facts.traffic is not None
    assert facts.traffic.failures == ()
    assert set(facts.traffic.answered) == {1, 2}


def test_a_camera_at_the_gate_is_answered_while_versions_come_and_go(told):
    _, facts = told
    (seen,) = [step.detail for step in facts.steps if step.name == "read the camera's visits"]
    found = re.fullmatch(r"visits: (.+); (\d+) frames answered, (\d+) not", seen)
    assert found, seen
    assert int(found[2]) > 0
    assert found[3] == "0"
    assert len(facts.visits) >= 1
    for visit in facts.visits:
        assert visit.label in {"cat", "dog"}
        assert visit.version in {1, 2}
        assert visit.score >= VisitRules().enter
        assert visit.picture


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> tuple[str, dict[Split, set[str]]]:
    """The dataset of the same photos, and the hashes of the photos of each split."""
    folder = tmp_path_factory.mktemp("photos")
    generate(folder, count=SMALL.photo_count, seed=SEED)
    ingestion = ingest(folder, MemoryStore(), seed=SEED)
    hashes: dict[Split, set[str]] = {split: set() for split in Split}
    for photo in ingestion.manifest.photos:
        hashes[photo.split].add(photo.sha256)
    return ingestion.sha256, hashes


def test_the_answers_come_from_photos_that_no_training_saw(told, splits):
    _, facts = told
    assert facts.dataset is not None
    dataset, hashes = splits
    assert facts.dataset.sha256 == dataset
    shown = {sha256_hex(prediction.photo) for prediction in facts.predictions}
    assert len(shown) == len(facts.predictions)
    assert shown <= hashes[Split.TEST]
    assert shown.isdisjoint(hashes[Split.TRAIN] | hashes[Split.VALIDATION])
    assert facts.accuracy is not None
    assert facts.accuracy.n == len(facts.predictions) <= facts.dataset.splits["test"]
    for accuracy in (facts.accuracy, facts.balanced_accuracy):
        assert accuracy is not None
        assert 0 <= accuracy.low <= accuracy.value <= accuracy.high <= 1
    assert facts.accuracy.value == sum(prediction.right for prediction in facts.predictions) / facts.accuracy.n


def test_the_summary_keeps_its_contract(told):
    directory, facts = told
    summary = json.loads((directory / "summary.json").read_text())
    assert set(summary) == {
        "steps",
        "pipeline",
        "endpoints",
        "emulator",
        "recipe",
        "registry",
        "model",
        "accuracy",
        "stacks",
    }
    assert summary["recipe"] == "two-cores"
    assert set(summary["endpoints"]) == set(summary["stacks"]) == {"test", "prod"}
    assert summary["model"] == {"version": 1, "digest": facts.digest}
    assert summary["registry"] == {"bucket": summary["stacks"]["prod"]["model_store"], "model": "pets"}
    assert all(set(step) == {"name", "seconds", "ok"} for step in summary["steps"])
    assert set(summary["accuracy"]) == {"value", "low", "high", "n"}


def test_nothing_is_left_but_the_summary_and_the_logs(told):
    directory, _ = told
    left = {entry.name for entry in directory.iterdir()}
    assert left <= {"lock", "summary.json", "summary.html", "quality.html", "instances"}
    assert set(re.findall(r'href="([\w.-]+)"', (directory / "summary.html").read_text())) <= left
    assert processes_with(str(directory)) == []
