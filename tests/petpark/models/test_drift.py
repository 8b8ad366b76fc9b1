"""`petpark drift`: from recorded predictions and a version's reference to what drifted, in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging import INPUT_STATISTICS, input_statistics
from registry.store.memory_store import MemoryStore
from registry.version import Version
from registry.versions.reference import Reference
from serving.inference.loaded_model import Prediction
from serving.recording.observation import Observation
from tests.monitoring.made import World
from tests.petpark.conftest import Place, Run
from tests.serving.recording.recorded import PHOTO, Recording, loaded

START = datetime(2026, 8, 1, 12, tzinfo=UTC)
PHOTOS = 60  # an hour
WORLD = World(3)


def seen(count: int, rng: np.random.Generator, *, night: bool = False) -> tuple[Any, Any]:
    """What a camera sees, and what the model says of it; by night it is dark."""
    pixels = rng.integers(0, 256, (count, 8, 8, 3)) * rng.uniform(0.5, 1, (count, 1, 1, 1))
    return (pixels * (0.2 if night else 1)).astype(np.uint8), WORLD.window(count, rng, 4.0 if night else 0.0)


def make_reference() -> Reference:
    rng = np.random.default_rng(8)
    pixels, _ = seen(150, rng)
    rows = [input_statistics(each, width=64, height=48).as_row() for each in pixels]
    reference = WORLD.reference(150, rng, statistics=np.array(rows, dtype=np.float32)[:, :2])
    assert reference.statistic_names == INPUT_STATISTICS[:2]
    return reference


@pytest.fixture
def version(place: Place, tmp_path: Path) -> Version:
    """A version with a reference."""
    path = tmp_path / "reference.npz"
    path.write_bytes(make_reference().to_bytes())
    return place.catalog.publish({"reference.npz": path}, labels=["cat", "dog"], metrics={}, lineage={})


def record(
    store: Any, version: Version, hours: int, *, night_from: int = 99, camera: str = "gate", late: float = 0
) -> None:
    """Record some hours of a camera, a photo a minute, `late` seconds after it began."""
    rng = np.random.default_rng(4)
    recording = Recording(now=START.timestamp(), store=store, stack="test")
    model = loaded(version.number, version.digest)
    for hour in range(hours):
        pixels, window = seen(PHOTOS, rng, night=hour >= night_from)
        for place in range(PHOTOS):
            recording.now = START.timestamp() + hour * 3600 + place * 3600 / PHOTOS + late
            found = Prediction(
                label="cat",
                probabilities=dict(zip(("cat", "dog"), window.probabilities[place].tolist(), strict=True)),
                seconds=0.01,
                strangeness=float(window.strangeness[place]),
                pixels=pixels[place],
                embedding=window.embedding[place],
            )
            recording.recorder.record(
                Observation(
                    at=recording.now,
                    request_id=f"{hour * PHOTOS + place:032x}",
                    item=0,
                    camera=camera,
                    model=model,
                    entry=1,
                    arm=None,
                    found=found,
                    photo=PHOTO,
                    latency=0.02,
                )
            )
    recording.flush()


def times(hours: int) -> list[str]:
    return ["--from", START.isoformat(), "--to", (START + timedelta(hours=hours)).isoformat()]


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("petpark.commands.registry.past.utc_now", lambda: START + timedelta(days=30))


def drift(run: Run, *arguments: str) -> tuple[int, dict[str, Any]]:
    said = run("drift", *arguments, "--json")
    return said.exit_code, json.loads(said.stdout)


def lake_of(place: Place) -> Any:
    return place.buckets.setdefault("lake", MemoryStore())


def test_a_camera_that_turns_to_night_is_named_with_the_hours_the_reason_and_the_photos(
    run: Run, place: Place, version: Version
):
    record(lake_of(place), version, 4, night_from=2)
    record(lake_of(place), version, 2, camera="pond")
    status, found = drift(run, *times(4))
    gate, pond = found["cameras"]
    assert status == 1
    assert (gate["camera"], gate["drifted"], pond["drifted"]) == ("gate", True, False)
    assert gate["alarms"] == [
        {"from": (START + timedelta(hours=2)).isoformat(), "to": (START + timedelta(hours=4)).isoformat()}
    ]
    assert [any(test["drifted"] for test in window["tests"]) for window in gate["windows"]] == [
        False,
        False,
        True,
        True,
    ]
    dark = gate["windows"][2]
    assert dark["photos"] == PHOTOS
    assert any("median brightness" in test["sentence"] for test in dark["tests"])
    assert dark["strange"]
    assert all(int(each, 16) // PHOTOS == 2 for each in dark["strange"])
    assert "accuracy" in dark["accuracy"]["sentence"]
    text = run("drift", *times(4))
    assert text.exit_code == 1
    assert "the median" in text.stdout
    assert "2 windows without drift" in text.stdout


def test_without_drift_it_ends_with_0(run: Run, place: Place, version: Version):
    record(lake_of(place), version, 2)
    status, found = drift(run, *times(2))
    assert status == 0
    assert found["cameras"][0]["alarms"] == []


def test_a_camera_of_which_nothing_is_recorded_is_not_taken_for_one_without_drift(
    run: Run, place: Place, version: Version
):
    record(lake_of(place), version, 2)
    status, found = drift(run, *times(2), "--camera", "gaet")
    assert (status, found["cameras"][0]["photos"]) == (1, 0)


def test_nothing_recorded_is_said(run: Run, place: Place):
    lake_of(place)
    said = run("drift")
    assert said.exit_code == 0
    assert "Stack test has no recorded predictions." in said.stdout


def test_a_camera_that_sent_nothing_is_not_one_with_too_few_photos(run: Run, place: Place, version: Version):
    record(lake_of(place), version, 1)
    for words in (["--from", "2026-08-05", "--to", "2026-08-06"], ["--camera", "gaet"]):
        said = run("drift", *words)
        assert "nothing was recorded in this period" in said.stdout
        assert said.exit_code == 1, "silence is no sign that all is well"


def test_a_version_without_a_reference_is_named(run: Run, place: Place, publish: Callable[..., Version]):
    record(lake_of(place), publish(), 1)
    status, found = drift(run, *times(1))
    assert status == 1
    assert found["cameras"][0]["without_reference"] == [1]
    assert "the version has no reference" in run("drift", *times(1)).stdout


def test_a_folder_and_a_file_are_enough(run: Run, place: Place, version: Version, tmp_path: Path):
    store = MemoryStore()
    record(store, version, 2, night_from=1)
    for key in store.keys(""):
        path = tmp_path / "lake" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(key))
    place.buckets.clear()
    options = ["--folder", str(tmp_path / "lake"), "--reference", str(tmp_path / "reference.npz")]
    status, found = drift(run, *times(2), *options)
    assert status == 1
    assert len(found["cameras"][0]["alarms"]) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--folder", "no-such-folder"], "does not exist"),
        (["--from", "2026-08-02", "--to", "2026-08-01"], "must be before --to"),
        (["--from", "2026-08-01", "--to", "2026-08-01"], "must be before --to"),
    ],
)
def test_a_folder_or_a_time_that_holds_nothing_is_refused(run: Run, place: Place, words: list[str], why: str):
    lake_of(place)
    said = run("drift", *words)
    assert said.exit_code == 2
    assert why in said.stderr


def test_what_a_person_judged_ordinary_becomes_the_cameras_own_reference(
    run: Run, place: Place, version: Version, tmp_path: Path
):
    record(lake_of(place), version, 3, night_from=0)
    own = str(tmp_path / "gate.npz")
    assert drift(run, *times(3))[0] == 1
    status, saved = drift(run, *times(2), "--camera", "gate", "--save-reference", own)
    assert (status, saved["photos"]) == (0, 2 * PHOTOS)
    status, found = drift(run, *times(3), "--reference", own)
    assert status == 0
    estimates = [window["accuracy"] for window in found["cameras"][0]["windows"]]
    assert estimates
    assert all(each["accuracy"] is None and "of its photos are unknown" in each["because"] for each in estimates)
    assert drift(run, *times(2), "--camera", "gate", "--save-reference", own)[1]["error"]["outcome"] == "FileInTheWay"


def test_a_reference_that_cannot_be_used_is_refused(run: Run, place: Place, version: Version, tmp_path: Path):
    record(lake_of(place), version, 1)
    (tmp_path / "none.npz").write_bytes(b"PK")
    for name, outcome in (("none.npz", "ReferenceMalformed"), ("missing.npz", "ReferenceUnfit")):
        status, found = drift(run, *times(1), "--reference", str(tmp_path / name))
        assert status != 0
        assert found["error"]["outcome"] == outcome
    status, found = drift(run, "--save-reference", "x")
    assert (status, found["error"]["outcome"]) == (2, "Usage")


def test_a_reference_of_other_classes_is_refused(run: Run, place: Place, version: Version, tmp_path: Path):
    record(lake_of(place), version, 1)
    (tmp_path / "foxes.npz").write_bytes(replace(make_reference(), labels=("dog", "fox")).to_bytes())
    status, found = drift(run, *times(1), "--reference", str(tmp_path / "foxes.npz"))
    assert status == 2
    assert "cat, dog, not dog, fox" in found["error"]["message"]


def test_of_photos_that_follow_each_other_within_seconds_one_is_tested(run: Run, place: Place, version: Version):
    record(lake_of(place), version, 1)
    record(lake_of(place), version, 1, late=5)
    _, found = drift(run, *times(1))
    assert found["cameras"][0]["photos"] == 2 * PHOTOS
    assert [window["photos"] for window in found["cameras"][0]["windows"]] == [PHOTOS]
