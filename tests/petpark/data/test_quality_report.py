"""`petpark data report`: what a dataset is worth, and the commands that fix it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from petpark.jobs.submission import plan
from registry.layout.data_lake import quality_key
from tests.petpark.conftest import Place, Run
from tests.training.photos import write_photos
from training.plan import DataGates

ORDINARY = ("--gate", "unclear=1")
"""Photos of tests are tiny."""


@pytest.fixture
def dataset(run: Run, tmp_path: Path) -> str:
    """48 photos of noise, one of which is all black, and a file that is not a photo."""
    folder = write_photos(tmp_path / "photos", per_class=24)
    Image.new("RGB", (200, 200), (3, 3, 3)).save(folder / "dog" / "a night's.jpg")
    (folder / "cat" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    said = run("data", "ingest", str(folder), "--json")
    return json.loads(said.stdout)["dataset"]


def output_of(run: Run, *words: str) -> dict[str, Any]:
    said = run("data", "report", *words, "--skip-labels", "--json")
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


def test_a_report_is_stored_as_a_page_and_as_facts(run: Run, place: Place, dataset: str, tmp_path: Path) -> None:
    said = output_of(run, dataset[:8], *ORDINARY, "--out", str(tmp_path / "page.html"))
    assert (said["dataset"], said["report"], said["refused"]) == (dataset, 1, False)
    assert said["verdicts"]["reliability"] == "passed"
    assert said["measures"]["unusable"] == pytest.approx(1 / 50)  # known from the ingestion
    assert said["findings"]["dark"]["first"] == ["dog/a night's.jpg"]
    page = place.buckets["lake"].get(quality_key(dataset, 1, "html")).decode()
    assert (tmp_path / "page.html").read_text() == page
    assert "Passes" in page
    assert output_of(run, dataset, *ORDINARY)["report"] == 2


def test_a_refused_dataset_names_photos_and_page_and_its_commands_fix_it(run: Run, dataset: str) -> None:
    words = ("data", "report", dataset, "--skip-labels", "--gate", "unclear=0.99")
    said = run(*words)
    assert said.exit_code == 1
    assert "\nQualityRefused: " in said.stderr
    for part in ("found 100.0", "dog/a night's.jpg", f"s3://lake/datasets/{dataset}.quality/000001.html"):
        assert part in said.stderr
    assert "refused" in said.stdout
    error = json.loads(run(*words, "--json").stdout)["error"]
    assert (error["outcome"], error["failed"]) == ("QualityRefused", ["unclear"])
    command = next(each for each in error["commands"] if each.endswith("dark'"))
    assert command in said.stderr
    done = run(*shlex.split(command)[1:], "--json")
    assert done.exit_code == 0, done.output
    assert "dark" not in output_of(run, json.loads(done.stdout)["dataset"], *ORDINARY)["findings"]


def test_ingestion_says_at_once_what_needs_no_look_at_the_photos(run: Run, tmp_path: Path) -> None:
    said = run("data", "ingest", str(write_photos(tmp_path / "photos", per_class=24)))
    assert "failed: photos that are blurred, dark, overexposed or tiny" in said.stdout
    assert "Full report: petpark data report" in said.stdout


@pytest.mark.parametrize(
    ("words", "error"), [(("beef",), "1 DatasetMissing"), (("--gate", "noise=1"), "2 SpecMalformed")]
)
def test_what_cannot_be_reported_on_is_refused_by_name(
    run: Run, dataset: str, words: tuple[str, ...], error: str
) -> None:
    said = run("data", "report", *(words if words[0] == "beef" else (dataset, *words)), "--skip-labels")
    assert f"{said.exit_code} {said.stderr.partition(':')[0]}" == error


def test_a_job_asks_of_its_dataset_what_the_stack_declares_and_of_nothing_where_it_declares_nothing(
    place: Place, run: Run, dataset: str
) -> None:
    assert plan(place.target(), "d" * 64, (), seed=1).data_gates is None
    place.exported["test"]["gates"] = {
        "data": {"label_noise": 0.02, "leaks": 3.0, "unclear": 1.0},
        "model": {},
        "checks": {},
    }
    gates = plan(place.target(), "d" * 64, (), seed=1).data_gates
    assert gates == DataGates(label_noise=0.02, leaks=3, unclear=1)
    assert not output_of(run, dataset)["refused"]  # the report is held to the same
