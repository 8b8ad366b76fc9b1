"""From photos with groups to "neither" in an endpoint: ingestion, a job, its published version, its answers."""

import io
import json
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image

from registry.encoding import sha256_hex
from registry.layout.data_lake import photo_key
from registry.store.memory_store import MemoryStore
from registry.version import Version
from registry.versions.abstention import ABSTENTION_FILE, NEITHER, Abstention
from tests.serving.park import Park
from tests.training.conftest import REQUESTER, TINY
from training.dataset.index import read_index
from training.dataset.ingest import ingest_from
from training.dataset.manifest import Manifest, Photo, Split
from training.dataset.sources import FolderSource
from training.job import JobSpec, initial_weights_key
from training.jobs.run import run_job
from training.networks.model import build_model

BREEDS, EACH = 6, 12
COLOURS = {"background": (60, 110, 60), "cat": (190, 70, 60), "dog": (60, 80, 190)}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A park whose only version was trained on photos of breeds, every photo by a camera of its own."""

    park: Park
    version: Version
    record: Abstention
    manifest: Manifest
    lake: MemoryStore
    report: str

    def photos(self, label: str, split: Split = Split.TEST) -> list[bytes]:
        chosen: list[Photo] = [photo for photo in self.manifest.part(split) if photo.label == label]
        return [self.lake.get(photo_key(photo.sha256)) for photo in chosen]


def _photo(rng: np.random.Generator, colour: tuple[int, int, int], stripes: int) -> bytes:
    """A breed is a number of stripes, a class a colour."""
    lines = 25 * np.sin(np.arange(32) / 32 * 2 * np.pi * stripes)
    pixels = np.array(colour) + lines[:, None, None] + rng.normal(0, 14, (32, 32, 3)) + rng.normal(0, 12)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=92)
    return file.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    directory, rng = tmp_path_factory.mktemp("trained"), np.random.default_rng(5)
    rows = ["key,label,camera,breed"]
    for label, colour in COLOURS.items():
        (directory / "photos" / label).mkdir(parents=True)
        for number in range(BREEDS * EACH):
            breed = number % BREEDS
            key = f"{label}/{number}.jpg"
            (directory / "photos" / key).write_bytes(_photo(rng, colour, breed))
            text = "" if label == "background" else f"{label} {breed}"
            rows.append(f"{key},{label},camera-{label}-{number},{text}")
    lake, workspace = MemoryStore(), MemoryStore()
    index = read_index("index.csv", "\n".join(rows).encode(), ("breed",))
    ingestion = ingest_from(FolderSource(directory / "photos"), lake, seed=1, index=index)
    torch.manual_seed(0)
    torch.save(build_model(TINY.architecture, 5).state_dict(), directory / "weights.pt")
    weights = (directory / "weights.pt").read_bytes()
    workspace.create(initial_weights_key("job"), weights)
    (directory / "versions").mkdir()
    park = Park(directory / "versions")
    spec = JobSpec(
        dataset=ingestion.sha256,
        seed=1,
        requested_by=REQUESTER,
        hyper_parameters=replace(TINY, frozen=1, views=2),
        initial_weights=sha256_hex(weights),
    )
    result = run_job("job", spec, workspace=workspace, lake=lake, catalog=park.catalog, directory=directory)
    assert (result.status, result.version) == ("succeeded", 1)
    version = park.catalog.version(1)
    park.certify(version)
    park.release(version)
    return Trained(
        park=park,
        version=version,
        record=Abstention.from_json((directory / ABSTENTION_FILE).read_bytes(), version.labels),
        manifest=ingestion.manifest,
        lake=lake,
        report=(directory / "report.html").read_text(),
    )


@pytest.fixture
def endpoint(trained, open_endpoint):
    opened = open_endpoint(park=trained.park)
    opened.follow()
    return opened


def test_breeds_are_left_out_in_calibration_and_cameras_of_single_photos_are_not(trained):
    assert trained.record.grouped_by == "breed"
    assert trained.record.groups == 2 * BREEDS
    assert trained.record.coverage == 0.95
    assert 0 < trained.record.strangeness < 1


def test_the_endpoint_answers_by_the_record_that_training_made(trained, endpoint):
    assert endpoint.model()["abstention"] == asdict(trained.record)


def test_photos_of_the_classes_are_kept_and_their_answers_hold_the_class(trained, endpoint):
    holds: list[bool] = []
    for label in ("cat", "dog"):
        for photo in trained.photos(label):
            output = endpoint.classify(photo, abstain="true").json()["abstention"]
            assert (output["answer"] == NEITHER) == (output["classes"] == [])
            holds.append(label in output["classes"])
    assert len(holds) > 15
    assert np.mean(holds) >= 0.8


def test_frames_without_visitors_are_neither(trained, endpoint):
    answers = [endpoint.classify(photo, abstain="true").json()["abstention"] for photo in trained.photos("background")]
    assert len(answers) > 5
    assert np.mean([output["answer"] == NEITHER for output in answers]) >= 0.8


def test_the_version_carries_coverage_and_refused_shares_with_their_intervals(trained):
    metrics = trained.version.metrics
    names = {"coverage", "kept", "single", "coverage_unseen", "kept_unseen"}
    names |= {f"refused_{kind}" for kind in ("far", "near", "background")}
    for name in names:
        low, value, high = (metrics[f"abstention_{name}{end}"] for end in ("_low", "", "_high"))
        assert 0 <= low <= value <= high <= 1
    assert metrics["abstention_refused_background"] >= 0.8
    assert metrics["abstention_coverage_unseen"] >= 0.8


def test_the_report_shows_them_and_the_curves(trained):
    assert "Groups left out, by breed: no part of this version saw the photo" in trained.report
    for chart in ("Errors over the share of photos that is answered", "Strange pictures refused over test photos kept"):
        assert f'aria-label="{chart}"' in trained.report
    assert "nan" not in trained.report.partition("When it abstains")[2].partition("<h2>Errors")[0]


def test_the_probes_of_the_version_hold_its_strangeness(trained, endpoint, tmp_path):
    probes = json.loads(trained.park.catalog.fetch(trained.version, tmp_path)["probes.json"].read_text())
    assert all(0 <= probe["strangeness"] <= 1 for probe in probes)
    assert endpoint.refusal is None
